"""Arrays on disk that are written row by row, and read without loading all of them where they are whole."""

import math
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from deepcovid.errors import REMAKE, UserError, reason_of
from deepcovid.files import Known

# What numpy raises on bytes that are no array.
DAMAGE = (ValueError, EOFError, SyntaxError, TypeError, OverflowError, tokenize.TokenError)


class ArrayWriter:
    """Writes a .npy file whose first dimension is known only at the end.

    Plain writes, not a memory map: a full disk is then an error with a message, not a crash.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.path, self.row_shape, self._dtype = path, row_shape, np.dtype(dtype)
        self._open()

    def _open(self) -> None:
        self._rows = 0
        self._stream = self.path.open("wb")
        self._write_header()

    def _write_header(self) -> None:
        # numpy leaves room for the first dimension to grow, so that a header may be written over another.
        shape = (self._rows, *self.row_shape)
        description = {"descr": npy.dtype_to_descr(self._dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._stream, description)

    def append(self, rows: NDArray[Any]) -> None:
        """Append `rows`, an array (any number, *row_shape)."""
        if rows.shape[1:] != self.row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]} do not fit {self.row_shape}")
        self._stream.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self._rows += len(rows)

    def widen(self, row_shape: tuple[int, ...]) -> None:
        """Change the shape of a row; the rows so far are broadcast to it."""
        self._finish()
        narrow = self.path.with_name(self.path.name + ".narrow")
        self.path.rename(narrow)
        rows = load_array(narrow)
        narrow.unlink()  # it can still be read, and nothing is left if this process ends here
        self.row_shape = row_shape
        self._open()
        for row in rows:
            self.append(np.broadcast_to(row, (1, *row_shape)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish()
        else:
            self._stream.close()

    def _finish(self) -> None:
        with self._stream:
            self._stream.seek(0)
            self._write_header()


def load_array(
    path: Path,
    shape: tuple[int | None, ...] | None = None,
    dtype: DTypeLike | None = None,
    belongs_to: Path | None = None,
) -> "np.memmap[Any, Any]":
    """Return a .npy file as a read-only memory map; no pickled objects. A damaged one is refused.

    Args:
        path: The file.
        shape: What its shape must be, where that is known; None stands for any length.
        dtype: What its numbers must be, where `shape` is known.
        belongs_to: The table whose rows are those of the array; errors name it.

    Raises:
        UserError: It is no array, its file is shorter or longer than the array, or it is of another shape or type.
    """
    try:
        array: np.memmap[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except DAMAGE as error:
        raise UserError(f"{path}: damaged ({reason_of(error)}); {REMAKE}") from None
    if not isinstance(array, np.memmap):
        raise UserError(f"{path}: damaged (an archive of several arrays instead of one); {REMAKE}")
    if path.stat().st_size != array.offset + array.nbytes:
        raise UserError(f"{path}: damaged (its header says {array.nbytes} bytes, but there are more); {REMAKE}")
    if shape is not None and not _fits(array, shape, dtype):
        wanted = f"{np.dtype(dtype)} {_dims(shape)}" + (f", a row for each of {belongs_to}" if belongs_to else "")
        both = REMAKE.replace("it again", "both again") if belongs_to else REMAKE
        raise UserError(f"{path}: {array.dtype} {_dims(array.shape)} instead of {wanted}; {both}")
    return array


@dataclass(frozen=True)
class Stored:
    """The name and hash of a .npy file, which are sent to other processes in place of its rows; np.asarray reads it."""

    file: Known

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the array that is in a .npy file now."""
        return cls(Known.of(path))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the file's array. Its rows are read as they are used, unless a copy or another type is wanted.

        Raises:
            UserError: The file is not there, or something else is in it.
        """
        return np.array(load_array(self.file.checked()), dtype, copy=copy)


def _fits(array: NDArray[Any], shape: tuple[int | None, ...], dtype: DTypeLike | None) -> bool:
    pairs = zip(array.shape, shape, strict=False)
    alike = array.ndim == len(shape) and all(wanted in (None, length) for length, wanted in pairs)
    return alike and array.dtype == np.dtype(dtype)


def _dims(shape: tuple[int | None, ...]) -> str:
    """Return a shape in words."""
    return f"({' x '.join('any' if length is None else str(length) for length in shape)})"


def batches(path: Path, size: int, start: int = 0, stop: int | None = None) -> Iterator[NDArray[Any]]:
    """Yield rows of a .npy file in batches; memory is that of one batch, where a map's pages would add up.

    Args:
        path: The file.
        size: Rows in a batch; the last may have fewer.
        start: The first row.
        stop: The row after the last; None for all that there are.
    """
    whole = load_array(path)
    stop = len(whole) if stop is None else stop
    row_shape = whole.shape[1:]
    with path.open("rb") as stream:
        stream.seek(whole.offset + start * math.prod(row_shape) * whole.itemsize)
        for first in range(start, stop, size):
            shape = (min(size, stop - first), *row_shape)
            yield np.fromfile(stream, whole.dtype, count=math.prod(shape)).reshape(shape)
