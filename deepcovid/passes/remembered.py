"""Jobs whose results are remembered from run to run, so that those on the same input are not done again."""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import joblib

from deepcovid.passes.executors import Executor, Versions, executor
from deepcovid.passes.forked import Share

LIMIT = 2**30  # bytes of results; beyond it, those that have not been used for longest are forgotten


@dataclass(frozen=True)
class Job:
    """Work, as a function without arguments, and all that its result depends on besides the versions."""

    work: Callable[[], Any]
    known_by: tuple[Any, ...]

    def __call__(self) -> Any:
        """Do the work."""
        return self.work()


@contextmanager
def remembering(folder: Path, versions: Callable[[], Versions]) -> Iterator[Share]:
    """Yield a function that calls jobs and returns what each returned; the environment says where they are called.

    Jobs whose results are remembered are not called. This process alone reads and writes `folder`. A result is
    remembered as soon as its job ends, so that not all is lost if the process is killed.

    Args:
        folder: Where results are kept, as pickles of our own. To forget them, remove it.
        versions: As for `executor`. Results of other versions are not used.

    Raises:
        UserError: As `executor` and what it yields do.
    """
    memory = joblib.Memory(folder, verbose=0)
    recalled = memory.cache(_recalled, ignore=["make"])
    with executor(versions) as execute:
        yield partial(_all, recalled, versions(), execute)
    memory.reduce_size(bytes_limit=LIMIT)


def _all(recalled: Any, versions: Versions, execute: Executor, jobs: Sequence[Job]) -> list[Any]:
    keys = [(versions, *job.known_by) for job in jobs]
    left = [place for place, key in enumerate(keys) if not recalled.check_call_in_cache(key, None)]
    made: dict[int, Any] = {}
    with closing(execute(operator.call, [jobs[place] for place in left])) as results:
        for number, value in results:
            place = left[number]
            made[place] = recalled(keys[place], partial(_same, value))
    return [made[place] if place in made else recalled(key, jobs[place]) for place, key in enumerate(keys)]


def _recalled(known_by: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    return make()


def _same(value: Any) -> Any:
    return value
