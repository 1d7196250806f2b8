"""Functions called at the same time, in forked processes, which start with all that this process has loaded."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import active_children, get_context
from typing import Any, TypeVar

from joblib import cpu_count

from deepcovid.errors import UserError

Value = TypeVar("Value")
Share = Callable[[Sequence[Callable[[], Any]]], list[Any]]  # what `at_once` is, or another that calls them elsewhere


def at_once(calls: Sequence[Callable[[], Value]]) -> list[Value]:
    """Call the functions on all cores and return what each of them returns, in order.

    One process is forked for each core. It knows the functions and their arguments, so nothing is sent to it or
    imported again. With one core, or one function, this process makes the calls itself. If this process is stopped,
    the others end too, whatever they are doing.

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
            raise UserError("a process died, probably for lack of memory; end other programs") from None
        except BaseException:
            for process in active_children():
                process.terminate()
            raise


def by_name(share: Share, calls: Mapping[str, Sequence[Callable[[], Any]]]) -> dict[str, list[Any]]:
    """Let `share` call all functions at the same time; return what those under each name return."""
    results = iter(share(list(chain(*calls.values()))))
    return {name: list(islice(results, len(own))) for name, own in calls.items()}


_held: list[Callable[[], Any]] = []  # the functions that this process may be asked to call


def _hold(calls: Sequence[Callable[[], Any]]) -> None:
    _held[:] = calls


def _call(number: int) -> Any:
    return _held[number]()
