"""One try after another: how each ended, in processes with limits of memory and time."""

import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import Process
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from random import Random
from typing import NamedTuple

from deepcovid.errors import TERMINATED, UserError, describe

Attack = Callable[[Random], None]
MEMORY = 4 * 2**30  # bytes that a try may take beyond what this process has
SURVIVED, REFUSED, TRACEBACK, WRONG = OUTCOMES = ("survived", "refused", "traceback", "accepted_wrongly")


class AcceptedWrongly(Exception):  # noqa: N818, an outcome
    """What was accepted is not what it was before it was mutated, or what was left behind is not whole."""


class Result(NamedTuple):
    """How a try ended, and what was said."""

    number: int
    kind: str
    outcome: str
    said: str


class Part(NamedTuple):
    """Attacks of one sort, each with its kind, and the seconds of computing that a try may take.

    Tries are made in a process with limits, unless they start their own (`apart`).
    """

    name: str
    attacks: Sequence[tuple[str, Attack]]
    seconds: float
    apart: bool = True

    def kind(self, number: int) -> tuple[str, Attack]:
        """Return the attack of a try, and its kind: they take turns."""
        return self.attacks[number % len(self.attacks)]

    def result(self, seed: int, number: int) -> Result:
        """Make a try; the same seed and number give the same one."""
        kind, attack = self.kind(number)
        return Result(number, kind, *outcome(attack, Random(f"{seed} {self.name} {number}")))

    def results(self, seed: int, numbers: Iterable[int]) -> Iterator[Result]:
        """Make the tries with these numbers."""
        waiting = list(numbers)
        if not self.apart:
            yield from (self.result(seed, number) for number in waiting)
            return
        while waiting:
            ours, theirs = Pipe(duplex=False)
            worker = Process(target=_work, args=(self, seed, waiting, theirs))
            worker.start()
            theirs.close()
            said = f"took more than {self.seconds:g} s of computing, or ten times as long"
            try:
                while waiting and _heard(ours, worker, self.seconds):
                    result = ours.recv()
                    waiting.pop(0)
                    yield result
            except EOFError:
                worker.join()
                said = f"the process ended with {worker.exitcode}"
            finally:
                end(worker)
            if waiting:
                number = waiting.pop(0)
                yield Result(number, self.kind(number)[0], TRACEBACK, said)


def _heard(results: Connection, worker: Process, seconds: float) -> bool:
    """Wait for a result; return False after so many seconds of computing, or after ten times as long without it.

    Computing is what counts because a machine with other work may let a process wait.
    """
    computed, end = _computed(worker), time.monotonic() + 10 * seconds
    while not results.poll(0.1):
        if _computed(worker) > computed + seconds or time.monotonic() > end:
            return False
    return True


def _computed(process: Process) -> float:
    """Return how many seconds a process has computed; it may have ended."""
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _work(part: Part, seed: int, numbers: list[int], results: Connection) -> None:
    limited()
    for number in numbers:
        results.send(part.result(seed, number))
    results.close()


def limited() -> None:
    """Limit this process's memory, let it say nothing, and let it be killed with the processes that it starts."""
    os.setpgid(0, 0)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nothing, stream)


def end(process: Process) -> None:
    """Kill a process that is `limited`, and what it has started."""
    with suppress(ProcessLookupError):  # it has ended with all of them, or is not limited yet
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def outcome(attack: Attack, random: Random) -> tuple[str, str]:
    """Make one try and return how it ended."""
    try:
        attack(random)
    except AcceptedWrongly as error:
        return WRONG, str(error)
    except MemoryError as error:
        return TRACEBACK, _place(error)
    except (UserError, OSError) as error:
        said = describe(error)
    except SystemExit as error:
        if error.code == TERMINATED:  # the harness is stopped
            raise
        if not error.code:
            return SURVIVED, ""
        said = str(error.code)
    except Exception as error:
        return TRACEBACK, _place(error)
    else:
        return SURVIVED, ""
    return (REFUSED, said) if len(said.splitlines()) == 1 else (TRACEBACK, f"not one line: {said!r}")


def _place(error: BaseException) -> str:
    """Return an error in one line, with the last line of ours that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/deepcovid/" in frame.filename or "/stages/" in frame.filename]
    last = (ours or frames)[-1]
    where = f"{Path(last.filename).name}:{last.lineno}"
    return " ".join([f"{type(error).__name__} at {where}:", *str(error).split(), *_notes(error)])[:500]


def _notes(error: BaseException) -> list[str]:
    return [f"({note})" for note in getattr(error, "__notes__", [])]
