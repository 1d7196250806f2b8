"""Passes: work on the rows of a table, cut into shards. Finished shards survive if the process is killed.

Shards are cut at fixed places, so the output is the same to the byte, whoever does the work (executors.py).
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, overload

import joblib
from numpy.typing import NDArray

from deepcovid.arrays import ArrayWriter, load_array
from deepcovid.errors import UserError
from deepcovid.files import replacing
from deepcovid.passes.executors import Executor, Versions, executor
from deepcovid.progress import bar

BATCHES = 8  # at most in one shard, which takes a net some seconds
SHARDS = 16  # at least, if there are as many batches, so that no worker waits long for another


class Pass(Protocol):
    """Work on the rows of a table, in batches from the first row on. It is pickled for other processes."""

    @property
    def rows(self) -> int:
        """How many rows the table has."""

    @property
    def batch_size(self) -> int:
        """How many rows are processed at a time."""

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Return the result for the rows from `start` to before `stop`, which are whole batches.

        The result may have more or fewer rows than the table has there. If it has none, its shape has no meaning.
        """


class Run(Protocol):
    """The function that `passing` yields."""

    def __call__(self, name: str, passes: Sequence[Pass], what: str) -> "Kept":
        """Run passes and return the results of their shards, in order.

        Args:
            name: Name of the folder that keeps the shards. Each call in a block needs another name.
            passes: The passes to run.
            what: Name of the work in the progress bar.
        """


class Shard(NamedTuple):
    """The rows of a pass from `start` to before `stop`, and the file that keeps their result."""

    of: Pass
    start: int
    stop: int
    path: Path

    def made(self) -> NDArray[Any]:
        """Return the result for the rows."""
        return self.of(self.start, self.stop)

    def is_kept(self) -> bool:
        """Return whether the file exists and is not damaged."""
        try:
            load_array(self.path)
        except (FileNotFoundError, UserError):
            return False
        return True


class Kept(Sequence[NDArray[Any]]):
    """The results of shards. Each is read from its file on use: memory maps of all of them would fill the memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, which: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(self, which: slice) -> "Kept": ...

    def __getitem__(self, which: int | slice) -> "NDArray[Any] | Kept":
        """Return one result, or several for a slice."""
        return Kept(self._paths[which]) if isinstance(which, slice) else load_array(self._paths[which])


@contextmanager
def passing(folder: Path, versions: Callable[[], Versions], *, alone: bool = False) -> Iterator[Run]:
    """Yield a function that runs passes; the environment says who does the work (executors.py).

    Finished shards are kept in `folder`, even if the block raises or the process is killed. The next run then uses
    them, and removes shards of other input, settings or versions. When a block ends without an error, the whole folder
    is removed.

    Args:
        folder: A folder for this block alone. The block may keep files of its own in it.
        versions: Returns the versions of the code and the packages that the work depends on. Each worker calls it too.
        alone: See `executor`.

    Raises:
        UserError: See `executor` and `Executor`.
    """
    with executor(versions, alone=alone) as execute:
        yield partial(_run, folder, versions(), execute)
    shutil.rmtree(folder, ignore_errors=True)


def write_array(path: Path, parts: Sequence[NDArray[Any]]) -> None:
    """Write arrays to a .npy file, one after the other. Arrays without rows are left out, whatever their shape."""
    first = next((part for part in parts if len(part)), parts[0])
    with ArrayWriter(path, first.shape[1:], first.dtype) as writer:
        for part in parts:
            if len(part):
                writer.append(part)


def _run(folder: Path, versions: Versions, execute: Executor, name: str, passes: Sequence[Pass], what: str) -> Kept:
    kept = folder / name / joblib.hash([list(passes), versions])
    for other in kept.parent.glob("*"):
        if other != kept:
            shutil.rmtree(other, ignore_errors=True)
    shards = [shard for number, one in enumerate(passes) for shard in _cut(one, kept / str(number))]
    left = [shard for shard in shards if not shard.is_kept()]
    rows, rows_left = (sum(shard.stop - shard.start for shard in some) for some in (shards, left))
    with bar(what, total=rows) as progress, closing(execute(Shard.made, left)) as results:
        progress.update(rows - rows_left)
        for number, made in results:
            shard = left[number]
            with replacing(shard.path) as partial_path:
                write_array(partial_path, [made])
            progress.update(shard.stop - shard.start)
    return Kept([shard.path for shard in shards])


def _cut(whole: Pass, folder: Path) -> Iterator[Shard]:
    batches = -(-whole.rows // whole.batch_size)
    step = min(BATCHES, max(1, -(-batches // SHARDS))) * whole.batch_size
    for start in range(0, whole.rows, step):
        yield Shard(whole, start, min(start + step, whole.rows), folder / f"{start}.npy")
