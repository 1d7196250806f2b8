"""Writing files so that nothing half-written is ever left."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
