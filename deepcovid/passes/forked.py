"""Functions called at the same time, in processes that are forked and so have loaded what this one has."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

from joblib import cpu_count

from deepcovid.errors import UserError

Value = TypeVar("Value")


def at_once(calls: Sequence[Callable[[], Value]]) -> list[Value]:
    """Return what each of the functions returns; the processor's cores share them out.

    A process is forked for each core and knows the functions and their arguments, so that nothing is sent to it or
    imported again. On one core, or for one function, it is this process that calls them. If this process is stopped,
    the others end too, whatever they are at.

    Raises:
        UserError: A process died.
    """
    workers = min(len(calls), cpu_count())
    if workers <= 1:
        return [call() for call in calls]
    with ProcessPoolExecutor(workers, get_context("fork"), _hold, (calls,)) as pool:
        try:
            return list(pool.map(_call, range(len(calls))))
        except BrokenProcessPool:
            raise UserError("a process died, as where there is too little memory; end other programs") from None
        except BaseException:
            for process in active_children():
                process.terminate()
            raise


_held: list[Callable[[], Any]] = []  # what a process may be asked to call


def _hold(calls: Sequence[Callable[[], Any]]) -> None:
    _held[:] = calls


def _call(number: int) -> Any:
    return _held[number]()
