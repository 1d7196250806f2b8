"""Functions called at the same time, in forked processes, which start with all that this process has loaded."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from itertools import chain, islice
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from threading import Thread
from typing import Any, TypeVar

from joblib import cpu_count

from deepcovid.errors import UserError

Name = TypeVar("Name")
Value = TypeVar("Value")
Share = Callable[[Sequence[Callable[[], Any]]], list[Any]]  # `at_once`, or what `remembering` yields


def at_once(calls: Sequence[Callable[[], Value]]) -> list[Value]:
    """Call the functions on all cores and return what each of them returns, in order.

    With one core, or one function, this process makes the calls itself.

    Raises:
        UserError: A process died.
    """
    return list(one_after_another(calls, cpu_count()))


def one_after_another(calls: Sequence[Callable[[], Value]], processes: int) -> Generator[Value]:
    """Call the functions at the same time; yield what each returns, in order, as soon as those before it have ended.

    `processes` is as for `as_they_end`; of more than there are functions, as many as these are used.

    Raises:
        UserError: A process died.
    """
    try:
        with closing(as_they_end(calls, min(processes, len(calls)))) as results:
            yield from in_order(results)
    except BrokenProcessPool:
        raise UserError(
            "a process died, probably for lack of memory; end other programs, or set LOKY_MAX_CPU_COUNT to fewer cores"
        ) from None


def as_they_end(calls: Sequence[Callable[[], Value]], processes: int) -> Generator[tuple[int, Value]]:
    """Call the functions at the same time; yield each one's number and what it returns, as soon as it ends.

    A forked process knows the functions and their arguments, so nothing is sent to it or imported again. A function may
    itself call others in this way. If this process is stopped or killed, all of them end too.

    Args:
        calls: The functions.
        processes: How many processes are forked. If it is one, this process makes the calls itself.

    Raises:
        BrokenProcessPool: A process died.
    """
    if processes <= 1:
        for number, call in enumerate(calls):
            yield number, call()
        return
    with ProcessPoolExecutor(processes, get_context("fork"), _begin, (calls,)) as pool:
        try:
            waiting = {pool.submit(_call, number): number for number in range(len(calls))}
            for done in as_completed(waiting):
                yield waiting.pop(done), done.result()  # only those that wait are held, for results may be large
        except BrokenProcessPool:
            raise
        except BaseException:
            for process in active_children():
                process.terminate()
            raise


def in_order(results: Iterable[tuple[int, Value]]) -> Iterator[Value]:
    """Yield values by their numbers, which are all of those from zero on. Only those that came too early are held."""
    early: dict[int, Value] = {}
    following = 0
    for number, value in results:
        early[number] = value
        while following in early:
            yield early.pop(following)
            following += 1


def by_name(share: Share, calls: Mapping[Name, Sequence[Callable[[], Any]]]) -> dict[Name, list[Any]]:
    """Let `share` call all functions at the same time; return what those under each name return."""
    results = iter(share(list(chain(*calls.values()))))
    return {name: list(islice(results, len(own))) for name, own in calls.items()}


_held: list[Callable[[], Any]] = []  # the functions that this process may be asked to call


def _begin(calls: Sequence[Callable[[], Any]]) -> None:
    _held[:] = calls
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the process that forked this one is gone, then end this one, which would wait for work for ever.

    The pipe that tells is also open in processes that were forked later. These end first, the last one before others.
    """
    parent = parent_process()
    assert parent
    wait([parent.sentinel])
    os._exit(1)


def _call(number: int) -> Any:
    return _held[number]()
