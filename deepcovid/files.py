"""Writing files so that nothing half-written is ever left, and reading what is whole."""

import csv
import errno
import fcntl
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from deepcovid.errors import REMAKE, UserError, reason_of

if TYPE_CHECKING:
    import pandas as pd

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # no room for what is being written
TAKEN = (errno.ENOTEMPTY, errno.EEXIST)  # there is a full folder at the name
LOCK, PARTIAL, ASIDE = ".lock", ".part", ".old"  # endings of the names that `replacing` takes
OWN = ".*.????????"  # and what comes before


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to (a file or a folder); rename it to `path` if the block succeeds.

    If the block raises, what was written is removed and `path` stays as it was. What was written is on the disk before
    it is renamed, so that a power cut leaves the old or the new. A folder cannot be renamed over a full one, so the old
    folder is moved aside first. If a run is killed between the two renames, the next run puts the old folder back.

    Each call takes names of its own: .NAME.XXXXXXXX.part, .old, and an empty file .lock, which it locks. So two runs at
    the same time do not meet; the last one to end leaves its result. The lock ends with the process, which is how a run
    tells what killed runs have left. It removes that when it first writes to the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _tidy(path.parent.resolve())
    lock, descriptor = _own_lock(path)
    partial, aside = lock.with_suffix(PARTIAL), lock.with_suffix(ASIDE)
    try:
        yield partial
        if not any(folder.match(OWN + PARTIAL) for folder in path.parents):  # such a folder is flushed as a whole
            _flush(partial)
        _rename(partial, path, aside)
    except OSError as error:
        if error.errno and (not error.filename or error.errno in FULL):  # a copy names the file that it reads
            error.filename = str(path)
        elif isinstance(error.filename, str):
            error.filename = error.filename.replace(str(partial), str(path))
        raise
    finally:
        _clear(lock, path)
        os.close(descriptor)


def _own_lock(path: Path) -> tuple[Path, int]:
    """Return a new, locked file beside `path`, and its file descriptor, to be closed at the end."""
    while True:
        try:
            descriptor, name = tempfile.mkstemp(LOCK, f".{path.name}.", path.parent)
        except OSError as error:
            error.filename = str(path)
            raise
        with suppress(OSError):  # some network file systems know no locks; nothing is tidied up there
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if Path(name).exists():
            return Path(name), descriptor
        os.close(descriptor)  # before it was locked, another run took it for a killed run's


@cache
def _tidy(folder: Path) -> None:
    """Clear up what killed runs have left in `folder`; once in a process."""
    for lock in folder.glob(OWN + LOCK):
        with suppress(OSError), lock.open("rb+") as stream:  # a living run's is locked, or gone by now
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not lock.stat().st_size:
                _clear(lock, folder / lock.name[1 : -len(".????????" + LOCK)])


def _clear(lock: Path, path: Path) -> None:
    """Remove what was written under a lock and is not at `path` yet; put back an old folder that has no successor."""
    aside = lock.with_suffix(ASIDE)
    if aside.exists() and not path.exists():
        try:
            aside.replace(path)
        except OSError as error:  # unless another run has put its own folder at `path` since
            if error.errno not in TAKEN:
                raise
    _remove(aside)
    _remove(lock.with_suffix(PARTIAL))
    lock.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Wait until a file, or a folder and all that is in it, is on the disk."""
    for part in (path, *path.rglob("*")):
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some file systems flush no folders
                raise
        finally:
            os.close(descriptor)


def _rename(partial: Path, path: Path, aside: Path) -> None:
    """Rename `partial` to `path`; if both are folders, what is at `path` is moved to `aside` first."""
    while True:
        try:
            partial.replace(path)
            return
        except OSError as error:
            if error.errno not in TAKEN:
                raise
        _remove(aside)  # if another run has put its own folder at `path` since
        with suppress(FileNotFoundError):  # if another run has moved it aside
            path.replace(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused because JSON has none."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, table: "pd.DataFrame", digits: int = 6) -> None:
    """Write `table` without its index, floats with `digits` significant digits (17 keep every bit)."""
    with replacing(path) as partial:
        table.to_csv(partial, index=False, float_format=f"%.{digits}g", lineterminator="\n")


def read_csv(
    path: Path, columns: Iterable[str], numbers: Iterable[str] = (), rows: int | None = None, **how: Any
) -> "pd.DataFrame":
    """Return a table that `write_csv` wrote; a damaged one is refused.

    Args:
        path: The file.
        columns: Columns that it must have; it may have more.
        numbers: Columns that it must have too, and that must hold numbers.
        rows: How many rows it must have, where that is known.
        how: Options of pandas.read_csv.

    Raises:
        UserError: The file is empty, is cut off, is no CSV, or does not have these columns or rows.
    """
    import pandas as pd  # here, since not everything that writes files needs it

    def damaged(why: str) -> UserError:
        return UserError(f"{path}: damaged ({why}); {REMAKE}")

    content = path.read_bytes()
    if not content.endswith(b"\n"):
        raise damaged("its last line is cut off" if content else "it is empty")
    try:
        table = pd.read_csv(io.BytesIO(content), **how)
    except ValueError as error:  # of pandas' parser, and of bytes that are no UTF-8
        raise damaged(reason_of(error)) from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus leading values for row names
        raise damaged("its rows have more values than its header has columns")
    if why := uneven(content):
        raise damaged(why)
    for column in (*columns, *numbers):
        if column not in table:
            raise damaged(f"it has no column {column}")
    for column in numbers:
        if len(table) and not pd.api.types.is_numeric_dtype(table[column]):
            raise damaged(f"its column {column} holds what is no number")
    if rows not in (None, len(table)):
        raise damaged(f"it has {len(table)} rows instead of {rows}")
    return table


def uneven(content: bytes) -> str | None:
    """Return what pandas passes over in a CSV that it reads: a row with too few values, or what follows a NUL."""
    if b"\0" in content:
        return "it holds NUL bytes"
    try:
        rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""))
        header = next(rows)
        for number, row in enumerate(rows, start=1):
            if row and len(row) != len(header):
                return f"row {number} has {len(row)} values, and the header has {len(header)} columns"
    except csv.Error as error:
        return reason_of(error)
    return None


def expanded(name: str) -> Path:
    """Return the path that a user names, with the home folder that `~` stands for, if there is one."""
    try:
        return Path(name).expanduser()
    except RuntimeError:  # ~somebody, who has no home here
        return Path(name)


def read_json(path: Path) -> Any:
    """Return what `write_json` wrote.

    Raises:
        UserError: The file is damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({reason_of(error)}); {REMAKE}") from None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Known(NamedTuple):
    """A file and what is in it, for processes that may see another file under its name, as on another machine."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return a file as it is now."""
        return cls(path.absolute(), _sha256_once(path.absolute(), *_changes_with(path)))

    def checked(self) -> Path:
        """Return the file's path.

        Raises:
            UserError: The file is not there, or something else is in it.
        """
        try:
            found = _sha256_once(self.path, *_changes_with(self.path))
        except FileNotFoundError:
            raise UserError(f"{self.path}: not there; share the folder with every worker, under this path") from None
        if found != self.sha256:
            raise UserError(
                f"{self.path}: not the file that the work began with; run again, and share one folder with every worker"
            )
        return self.path


class KnownArchives(NamedTuple):
    """The zip files of a folder, for processes that may see others; each by name, size and time, not by its content.

    Times are in seconds: sshfs knows no fractions.
    """

    folder: Path
    files: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Return the zip files of a folder as they are now."""
        facts = ((path.name, path.stat()) for path in sorted(folder.glob("*.zip")))
        return cls(folder.absolute(), tuple((name, own.st_size, int(own.st_mtime)) for name, own in facts))

    def checked(self) -> Path:
        """Return the folder.

        Raises:
            UserError: A zip file is not there, is another one, or has come.
        """
        if KnownArchives.of(self.folder) != self:
            raise UserError(
                f"{self.folder}: not the archives that the work began with; share one folder with every worker"
            )
        return self.folder


def _changes_with(path: Path) -> tuple[int, int]:
    """Return a file's size and time, which are other ones when its content is."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


@cache
def _sha256_once(path: Path, size: int, time: int) -> str:
    return sha256_of(path)
