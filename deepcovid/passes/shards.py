"""Passes: work on the rows of a table, cut into shards. A shard that is finished outlives the process that did it.

Shards are cut at fixed places, so what is written is the same to the byte whoever does them (executors.py).
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

BATCHES = 8  # in a shard: seconds of a net's work


class Pass(Protocol):
    """What is done with the rows of a table, in batches from the first row on. It is pickled for other processes."""

    @property
    def rows(self) -> int:
        """How many rows the table has."""

    @property
    def batch_size(self) -> int:
        """How many rows are taken at a time."""

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Return what comes of the rows from `start` to before `stop`, which are whole batches.

        It may be more or less than a row for each. If it is none, the shape of the empty array means nothing.
        """


class Run(Protocol):
    """What `passing` yields."""

    def __call__(self, name: str, passes: Sequence[Pass], what: str) -> "Kept":
        """Return what comes of the shards of the passes, one after the other.

        Args:
            name: Of the folder that keeps the shards: one for each call in a block.
            passes: What is to be done.
            what: Names the work in the bar.
        """


class Shard(NamedTuple):
    """The rows of a pass from `start` to before `stop`, and the file that keeps what comes of them."""

    of: Pass
    start: int
    stop: int
    path: Path

    def made(self) -> NDArray[Any]:
        """Return what comes of the rows."""
        return self.of(self.start, self.stop)

    def is_kept(self) -> bool:
        """Return whether the file is there and whole."""
        try:
            load_array(self.path)
        except (FileNotFoundError, UserError):
            return False
        return True


class Kept(Sequence[NDArray[Any]]):
    """What comes of shards, each read from its file when it is used: maps of all of them would fill the memory."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, which: int) -> NDArray[Any]: ...

    @overload
    def __getitem__(self, which: slice) -> "Kept": ...

    def __getitem__(self, which: int | slice) -> "NDArray[Any] | Kept":
        """Return one array, or some of them."""
        return Kept(self._paths[which]) if isinstance(which, slice) else load_array(self._paths[which])


@contextmanager
def passing(folder: Path, versions: Callable[[], Versions]) -> Iterator[Run]:
    """Yield a function that runs passes; the environment says who does the work (executors.py).

    Finished shards are kept in `folder`, even if the block raises or the process is killed, and are taken from there
    the next time. Shards of other input, settings or versions are removed then. At the end of the block all are.

    Args:
        folder: A folder for this block alone, in which the block may keep files too.
        versions: What the work rests on besides: the code and the packages. Each worker calls it as well.

    Raises:
        UserError: As `executor` and what it yields do.
    """
    with executor(versions) as execute:
        yield partial(_run, folder, versions(), execute)
    shutil.rmtree(folder, ignore_errors=True)


def write_array(path: Path, parts: Sequence[NDArray[Any]]) -> None:
    """Write arrays to a .npy file, one after the other; the shape of one without rows means nothing."""
    first = next((part for part in parts if len(part)), parts[0])
    with ArrayWriter(path, first.shape[1:], first.dtype) as writer:
        for part in parts:
            if len(part):
                writer.append(part)


def _run(folder: Path, versions: Versions, execute: Executor, name: str, passes: Sequence[Pass], what: str) -> Kept:
    kept = folder / name / joblib.hash([list(passes), versions])
    for other in kept.parent.glob("*"):
        if other != kept:
            shutil.rmtree(other)
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
    step = BATCHES * whole.batch_size
    for start in range(0, whole.rows, step):
        yield Shard(whole, start, min(start + step, whole.rows), folder / f"{start}.npy")
