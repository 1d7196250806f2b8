"""Writing files so that nothing half-written is ever left, and reading tables that are whole."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepcovid.errors import REMAKE, UserError, reason_of

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to (a file or a folder); rename it to `path` if the block succeeds.

    If the block raises, what was written is removed and `path` stays as it was. A folder cannot be renamed over a full
    one, so the old folder is moved aside first. If a run is killed between the two renames, the next call puts the old
    folder back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, aside = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    _remove(partial)  # of a run that was killed
    _put_back(aside, path)
    try:
        yield partial
        if path.is_dir() and partial.is_dir():
            path.replace(aside)
        partial.replace(path)
    except OSError as error:
        if error.errno and not error.filename:  # as on a full disk
            error.filename = str(path)
        raise
    finally:
        _put_back(aside, path)
        _remove(partial)


def _put_back(aside: Path, path: Path) -> None:
    """Move the folder `aside` back to `path`, or remove it if there is a new one at `path`."""
    if path.exists():
        _remove(aside)
    elif aside.exists():
        aside.replace(path)


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
    for column in (*columns, *numbers):
        if column not in table:
            raise damaged(f"it has no column {column}")
    for column in numbers:
        if len(table) and not pd.api.types.is_numeric_dtype(table[column]):
            raise damaged(f"its column {column} holds what is no number")
    if how.get("keep_default_na", True) is False and table.select_dtypes(exclude="number").isna().any(axis=None):
        raise damaged("one of its rows has fewer values than its header has columns")
    if rows not in (None, len(table)):
        raise damaged(f"it has {len(table)} rows instead of {rows}")
    return table


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
