"""Work whose results are remembered from run to run, so that work on the same input is not done again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import joblib

from deepcovid.passes.executors import Versions

Value = TypeVar("Value")
LIMIT = 2**30  # bytes of results; beyond it, those that have not been used for longest are forgotten


class Remembered(Protocol):
    """The function that `remembering` yields."""

    def __call__(self, work: Callable[[], Value], *known_by: Any) -> Callable[[], Value]:
        """Return a function that gives what `work` returns, and calls it only if its result is not remembered.

        Args:
            work: What to do. Its result is pickled.
            known_by: All that the result depends on, besides the versions.
        """


@contextmanager
def remembering(folder: Path, versions: Versions) -> Iterator[Remembered]:
    """Yield a function that makes work remember its result in `folder`, also if it is done by another process.

    Args:
        folder: Where the results are kept, as pickles of our own. They are forgotten if it is removed.
        versions: The versions of the code and the packages that the work depends on.
    """
    memory = joblib.Memory(folder, verbose=0)
    recall = memory.cache(_result, ignore=["work"])

    def remembered(work: Callable[[], Value], *known_by: Any) -> Callable[[], Value]:
        return partial(recall, (versions, *known_by), work)

    yield remembered
    memory.reduce_size(bytes_limit=LIMIT)


def _result(known_by: tuple[Any, ...], work: Callable[[], Value]) -> Value:
    return work()
