"""Jobs whose results are remembered from run to run, so that those on the same input are not done again."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import joblib

from deepcovid.passes.executors import Executor, Versions, executor

Name = TypeVar("Name")
LIMIT = 2**30  # bytes of results; beyond it, those that have not been used for longest are forgotten


class Job(NamedTuple):
    """Work, as a function without arguments, and all that its result depends on besides the versions."""

    work: Callable[[], Any]
    known_by: tuple[Any, ...]


class Do(Protocol):
    """The function that `remembering` yields."""

    def __call__(self, jobs: Mapping[Name, Sequence[Job]]) -> dict[Name, list[Any]]:
        """Return what the jobs under each name return. Those that are not remembered are done at the same time."""


@contextmanager
def remembering(folder: Path, versions: Callable[[], Versions]) -> Iterator[Do]:
    """Yield a function that does jobs; the environment says where (executors.py).

    This process alone reads and writes `folder`. A result is remembered as soon as its job ends, so that not all is
    lost if the process is killed.

    Args:
        folder: Where results are kept, as pickles of our own. To forget them, remove it.
        versions: As for `executor`. Results of other versions are not used.

    Raises:
        UserError: As `executor` and what it yields do.
    """
    memory = joblib.Memory(folder, verbose=0)
    recalled = memory.cache(_recalled, ignore=["make"])
    with executor(versions) as execute:
        yield partial(_do, recalled, versions(), execute)
    memory.reduce_size(bytes_limit=LIMIT)


def _do(
    recalled: Any, versions: Versions, execute: Executor, jobs: Mapping[Name, Sequence[Job]]
) -> dict[Name, list[Any]]:
    all_jobs = [(name, job, (versions, *job.known_by)) for name, own in jobs.items() for job in own]
    left = [place for place, (_, _, key) in enumerate(all_jobs) if not recalled.check_call_in_cache(key, None)]
    made: dict[int, Any] = {}
    with closing(execute(operator.call, [all_jobs[place][1].work for place in left])) as results:
        for number, value in results:
            made[left[number]] = recalled(all_jobs[left[number]][2], partial(_same, value))
    found: dict[Name, list[Any]] = {name: [] for name in jobs}
    for place, (name, job, key) in enumerate(all_jobs):
        found[name].append(made[place] if place in made else recalled(key, job.work))
    return found


def _recalled(known_by: tuple[Any, ...], make: Callable[[], Any]) -> Any:
    return make()


def _same(value: Any) -> Any:
    return value
