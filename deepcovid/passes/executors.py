"""Who does work that is cut into pieces: this process, several on this machine, or the workers of a dask cluster.

Environment variables choose, because no result depends on the choice:

    DEEPCOVID_EXECUTOR      fork (the default): processes on this machine, forked from this one
                            loky: processes on this machine that start anew
                            dask: workers of the cluster whose scheduler DASK_SCHEDULER_ADDRESS names
    DEEPCOVID_WORKERS       number of processes on this machine: by default one for each core, if there are two
                            gigabytes of memory for each. If it is one, this process does the work.

A worker on another machine runs its own copy of the code, with its own packages. Before each piece, their versions are
compared with those of the process that hands the pieces out. If they differ, the worker refuses the piece. What brings
pieces to the workers of a cluster, Python among it, is compared before the first piece.
"""

import logging
import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from joblib import Parallel, cpu_count, delayed

from deepcovid.errors import UserError, reason_of
from deepcovid.passes.forked import as_they_end
from deepcovid.progress import warn

EXECUTOR, WORKERS, ADDRESS = "DEEPCOVID_EXECUTOR", "DEEPCOVID_WORKERS", "DASK_SCHEDULER_ADDRESS"
FORK, LOKY, DASK = EXECUTORS = ("fork", "loky", "dask")
DEATHS = 3  # so many workers that die in a row, with no piece done in between, are an error
PATIENCE = 60  # seconds to wait for the first worker of a cluster
MEMORY = 2 * 2**30  # bytes for each process on this machine: at 224 pixels, ResNet50 takes 1.6 GB for 32 images
CARRIERS = ("python", "dask", "distributed", "cloudpickle")  # they bring pieces to the workers of a cluster
AGAIN = "start it again in the same folder of code and with the same packages as the process that it works for"
INSTALL = "python -m pip install -c constraints.txt dask distributed"

Item = TypeVar("Item")
Value = TypeVar("Value")
Result = TypeVar("Result", bound=tuple[Any, ...])
Versions = dict[str, str]  # of the code and of each package, by name
# The wanted versions, the pickled function that returns a worker's versions, a number, and the pickled work.
Piece = tuple[Versions, bytes, int, bytes]
Done = tuple[int, Any, str]  # the number, the result of the work, and the problem that prevented it, if any
Job = Callable[[Versions, bytes, int, bytes], Done]
HandOut = Callable[[Job, Sequence[Piece]], Generator[Done]]


class Executor(Protocol):
    """Does a piece of work for each of several items."""

    def __call__(self, work: Callable[[Item], Value], items: Sequence[Item]) -> Generator[tuple[int, Value]]:
        """Yield each item's index in `items` and what `work` returns for it, in the order in which they finish.

        Raises:
            UserError: A worker cannot do its work, workers die again and again, or the cluster is gone.
        """


@contextmanager
def executor(versions: Callable[[], Versions], *, alone: bool = False) -> Iterator[Executor]:
    """Yield the executor that the environment names.

    Args:
        versions: Returns the versions that workers must agree on. It is pickled, since each worker calls it too.
        alone: Whether this process does the work in place of forked ones. CUDA cannot be used in those
            if this process has used it.

    Raises:
        UserError: A variable has a value that is not allowed, dask is not installed, or its scheduler cannot be
            reached.
    """
    processes, name = _processes(), os.environ.get(EXECUTOR) or FORK
    if name not in EXECUTORS:
        raise UserError(f"{EXECUTOR} is {name!r}, but it may be {', '.join(EXECUTORS)}; set it to one of these")
    if name == FORK:
        yield partial(_by_forked, 1 if alone else processes)
    elif name == LOKY:
        yield partial(_by_workers, partial(_by_loky, processes), versions)
    else:
        with _cluster() as hand_out:
            yield partial(_by_workers, hand_out, versions)


def _processes() -> int:
    """Return how many processes on this machine do the work."""
    text = os.environ.get(WORKERS)
    if not text:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return max(1, min(cpu_count(), memory // MEMORY))
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UserError(f"{WORKERS} is {text!r}, which is not a positive whole number; set it to one, or unset it")
    return int(text)


def _by_forked(processes: int, work: Callable[[Item], Value], items: Sequence[Item]) -> Generator[tuple[int, Value]]:
    def begin(left: list[tuple[int, Item]]) -> Generator[tuple[int, Value]]:
        for place, value in as_they_end([partial(work, item) for _, item in left], processes):
            yield left[place][0], value

    yield from _despite_deaths(begin, {number: (number, item) for number, item in enumerate(items)})


def _by_workers(
    hand_out: HandOut, versions: Callable[[], Versions], work: Callable[[Item], Value], items: Sequence[Item]
) -> Generator[tuple[int, Value]]:
    wanted, ours = versions(), pickle.dumps(versions)
    pieces = [(wanted, ours, number, pickle.dumps(partial(work, item))) for number, item in enumerate(items)]
    with closing(hand_out(_in_worker(), pieces)) as results:
        for number, value, problem in results:
            if problem:
                raise UserError(problem)
            yield number, value


def _by_loky(processes: int, job: Job, pieces: Sequence[Piece]) -> Generator[Done]:
    def begin(left: list[Piece]) -> Generator[Done]:
        parallel = Parallel(processes, backend=LOKY, batch_size=1, pre_dispatch="all", return_as="generator_unordered")
        results = parallel(delayed(job)(*piece) for piece in left)
        try:
            yield from results
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # joblib warns if work is cancelled
                results.close()

    yield from _despite_deaths(begin, {piece[2]: piece for piece in pieces})


def _despite_deaths(begin: Callable[[list[Item]], Generator[Result]], items: dict[int, Item]) -> Generator[Result]:
    """Yield what `begin` yields for items, which starts with the item's number; begin again where a worker died."""
    left, deaths = dict(items), 0
    while left:
        try:
            with closing(begin(list(left.values()))) as results:
                for done in results:
                    del left[done[0]]
                    deaths = 0
                    yield done
        except BrokenProcessPool:  # all pieces that were handed out are lost
            deaths += 1
            if deaths == DEATHS:
                raise UserError(
                    f"{deaths} workers died one after the other, probably for lack of memory; set {WORKERS} lower"
                ) from None
            warn("a worker died; another one does its work again")


def _in_worker() -> Job:
    """Return a function that does a piece of work in a worker.

    A function inside a function is pickled with its code, so workers and the scheduler can load it without our modules.
    It compares the versions first. It unpickles the work, which needs our modules, only if they are the same.
    """

    def in_worker(wanted: Versions, versions: bytes, number: int, piece: bytes) -> Done:
        """Return the number with what the piece of work returns, or with a problem that the user can put right."""
        import pickle
        import platform

        try:
            own = pickle.loads(versions)()
        except Exception as error:  # loading other code can raise anything
            return number, None, f"worker on {platform.node()}: {' '.join(str(error).split())}; {AGAIN}"
        for name in sorted(own.keys() | wanted.keys()):
            if own.get(name) != wanted.get(name):
                differs = f"{name} is {own.get(name, 'missing')} instead of {wanted.get(name, 'missing')}"
                return number, None, f"worker on {platform.node()}: {differs}; {AGAIN}"
        from deepcovid.errors import UserError, describe

        try:
            return number, pickle.loads(piece)(), ""
        except (UserError, OSError) as error:
            return number, None, f"worker on {platform.node()}: {describe(error)}"

    return in_worker


@contextmanager
def _cluster() -> Iterator[HandOut]:
    """Yield a function that hands out work to the workers of the dask cluster.

    It does not use joblib's backend for dask, which waits for ever if workers die again and again at the same work.
    """
    try:
        import dask
        import distributed
        from distributed.client import ClosedClientError
        from distributed.comm.core import CommClosedError
    except ImportError:
        raise UserError(f"{EXECUTOR} is {DASK}, which is not installed; {INSTALL}") from None
    address = dask.config.get("scheduler-address", None)
    if not address:
        raise UserError(f"{EXECUTOR} is {DASK}, but {ADDRESS} is not set; set it to the address of the scheduler")
    for name in ("distributed", "distributed.client"):  # we report their errors in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    client, reason = None, ""
    try:
        client = distributed.Client(address, set_as_default=False)
    except (OSError, ValueError) as error:
        reason = reason_of(error)
    if client is None:  # not raised in the block above: an error there keeps dask's objects, which take a minute to end
        raise UserError(f"{ADDRESS}: no scheduler at {address} ({reason}); start one, or correct the address")
    with client:

        def hand_out(job: Job, pieces: Sequence[Piece]) -> Generator[Done]:
            try:
                futures = [client.submit(job, *piece, pure=False) for piece in pieces]
                ended = distributed.as_completed(futures, loop=client.loop)
                del futures
                for future in ended:
                    done = future.result()
                    future.release()  # workers would keep the results, and make those of a dead one again
                    yield done
            except (CancelledError, CommClosedError, ClosedClientError):
                raise UserError(
                    f"the scheduler at {address} is gone; start it and its workers again, then run again: what was "
                    "finished is kept"
                ) from None
            except distributed.KilledWorker as error:
                raise UserError(
                    f"several workers died at the same work ({reason_of(error)}), probably for lack of memory; "
                    "give each worker more"
                ) from None

        try:
            client.wait_for_workers(1, PATIENCE)
        except TimeoutError:
            raise UserError(
                f"the scheduler at {address} has had no worker for {PATIENCE} seconds; start some, as docs/cluster.md "
                "says"
            ) from None
        versions: Any = client.get_versions()
        _check_carriers(versions)
        yield hand_out


def _check_carriers(found: dict[str, Any]) -> None:
    """Raise UserError if what brings pieces to a worker has another version there; `found` is what dask tells."""
    ours = found["client"]["packages"]
    for address, worker in found["workers"].items():
        theirs = worker["packages"] if worker else {}
        for name in CARRIERS:
            if theirs.get(name) != ours[name]:
                differs = f"{name} is {theirs.get(name, 'missing')} instead of {ours[name]}"
                raise UserError(f"worker at {address}: {differs}; {AGAIN}")
