"""A user's own images: a folder or a zip of PNG, JPEG and DICOM files, and a CSV that labels them."""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

import pandas as pd

from deepcovid.archives import MAX_MEMBER_BYTES, Archive, Folder, add_member, opened, own_files
from deepcovid.catalogue import CONTROL, LABELS, read_text_table
from deepcovid.errors import UserError
from deepcovid.fetching import record_of
from deepcovid.files import expanded, replacing, uneven
from deepcovid.images import dicom
from deepcovid.progress import track, warn
from deepcovid.settings.datasets import FolderSource

ARCHIVE = "images.zip"
TABLE = "images.csv"
NEEDED = ("file", "label")
COLUMNS = (*NEEDED, "finding", "view", "patient")
COVID_FINDING = "COVID-19"
SHOWN = 3  # rows, in an error
OWN = ("folder", "a user's own")  # origin and edition of a user's file


@dataclass(frozen=True)
class Labelled:
    """Images of a user's own, and the table that labels them. All that the table names is there.

    Attributes:
        found: The folder or zip of images.
        table: A row an image, with the columns that the CSV has.
        members: Where each file of the table is in `found`.
        left_out: Files that are in `found` and that the table does not name.
        ignored: Columns that nothing reads.
    """

    found: Archive | Folder
    table: pd.DataFrame
    members: Mapping[str, str]
    left_out: Sequence[str]
    ignored: Sequence[str]

    def read(self, file: str) -> bytes:
        """Return the bytes of a file of the table."""
        return self.found.read(self.members[file])


def fetch(source: FolderSource, folder: Path, reference: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Put the images that the table names into one archive, under the names it uses, and the table beside it.

    Returns:
        What is to be recorded of both: of the archive, the files that the table does not name and that were left out;
        of the table, the columns that nothing reads.

    Raises:
        UserError: The images or the table are not there, or the table does not fit them.
    """
    images, table_path = places(source)
    with labelled(images, table_path) as own:
        warn_of_the_rest(own, images, table_path)
        with replacing(folder / ARCHIVE) as partial, zipfile.ZipFile(partial, "w") as archive:
            for name in track(sorted(own.members), "copying images", total=len(own.members)):
                add_member(archive, name, own.read(name))
    with replacing(folder / TABLE) as partial:
        shutil.copyfile(table_path, partial)
    return [
        record_of(folder / ARCHIVE, images.name, *OWN)
        | {"left_out": len(own.left_out), "left_out_files": list(own.left_out)},
        record_of(folder / TABLE, table_path.name, *OWN) | {"ignored_columns": list(own.ignored)},
    ]


def catalogue(folder: Path, reference: Path) -> pd.DataFrame:
    """Return one row per line of the table: see `rows`."""
    with Archive(folder / ARCHIVE) as archive:
        return rows(_read(folder / TABLE), archive.read)


def rows(table: pd.DataFrame, read: Callable[[str], bytes]) -> pd.DataFrame:
    """Return one row of a catalogue per line of the table.

    What the table leaves blank of view and patient, and sex and age, is taken from a DICOM file's header.

    Args:
        table: The user's.
        read: Returns the bytes of a file that the table names.
    """
    whole = table.reindex(columns=list(COLUMNS), fill_value="").to_dict("records")
    return pd.DataFrame([_row(line, read(line["file"])) for line in track(whole, "reading images", total=len(whole))])


def places(source: FolderSource) -> tuple[Path, Path]:
    """Return where the images and the table are.

    Raises:
        UserError: The settings do not say so, or one of them is not there.
    """
    return _existing("images", source.images), _existing("table", source.table)


@contextmanager
def labelled(images: Path, table_path: Path) -> Iterator[Labelled]:
    """Yield the images that a table names. The table is checked as a whole before an image is read.

    The name of a file may be written in any Unicode form: macOS takes letters with accents apart, other systems do not.
    A zip's single top folder may be left out of the names.

    Raises:
        UserError: The table is no list of labelled files, or some of its rows cannot be used; the error says how many.
    """
    if not table_path.is_file():
        raise UserError(f"{table_path}: no file; name a CSV with columns file and label")
    if not images.is_dir() and not images.is_file():
        raise UserError(f"{images}: not there; name a folder or a zip of images")
    table = _read(table_path)
    _check_columns(table, table_path)
    with opened(images) as found:
        names = found.members()
        members = _members(found, names, table["file"])
        _check_rows(table, table_path, found, members)
        used, own_path = {*members.values()}, table_path.resolve()
        left_out = [name for name in own_files(names) if name not in used and (images / name).resolve() != own_path]
        ignored = [str(column) for column in table if column not in COLUMNS]
        yield Labelled(found, table, members, [_printable(name) for name in left_out], ignored)


def warn_of_the_rest(own: Labelled, images: Path, table_path: Path) -> None:
    """Warn of files that the table does not name and of columns that nothing reads."""
    if own.left_out:
        warn(
            f"{images}: {len(own.left_out)} of its files are left out, for {table_path} does not name them; "
            f"first {own.left_out[0]!r}"
        )
    if own.ignored:
        missing = [column for column in COLUMNS if column not in own.table]
        guesses = {column: guess for column in own.ignored if (guess := _guess(column, missing))}
        meant = "".join(f"; did you mean {guess} by {column}?" for column, guess in guesses.items())
        warn(
            f"{table_path}: nothing reads its columns {', '.join(own.ignored)}; what is read is {', '.join(COLUMNS)}"
            f"{meant}"
        )


def _row(line: Mapping[Any, str], content: bytes) -> dict[str, str]:
    file, label = line["file"], line["label"]
    header = {key: CONTROL.sub("", value) for key, value in dicom.facts(content).items()}
    patient = line["patient"] or header.get("patient_id", "")
    return {
        "image_id": file,
        "archive": ARCHIVE,
        "member": file,
        "label": label,
        "finding": line["finding"] or (COVID_FINDING if label == "covid" else ""),
        "view": line["view"] or header.get("view", ""),
        "modality": "X-ray",
        "patient_id": f"folder-{patient}" if patient else "",
        "sex": header.get("sex", ""),
        "age": header.get("age", ""),
        "source": "folder",
        "source_image": file,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def _existing(key: str, value: str) -> Path:
    setting = f"dataset.folder.source.{key}"
    if not value.strip():
        what = "a folder or a zip of images" if key == "images" else "a CSV with columns file and label"
        raise UserError(f"{setting} is blank; name {what}: -S {setting}=...")
    path = expanded(value)
    if not path.exists():
        raise UserError(f"{path}: not there; correct {setting}")
    return path


def _read(path: Path) -> pd.DataFrame:
    """Return the table, blanks around everything but the names of files taken off, labels in small letters.

    Raises:
        UserError: It is no CSV, a row has fewer values than the header, or a column's name differs in capitals alone
            from one that is read.
    """
    table = read_text_table(path).rename(columns=str.strip)
    if why := uneven(path.read_bytes()):
        raise UserError(f"{path}: {why}; correct it")
    for column in (names := table.columns.tolist()):
        if column not in COLUMNS and column.lower() in COLUMNS:
            raise UserError(f"{path}: column {column!r} would not be read; call it {column.lower()!r}")
        if names.count(column) > 1 or f"{column}.1" in names:  # so pandas calls the second
            raise UserError(f"{path}: two columns are called {column!r}; leave one")
    table = table.assign(**{column: table[column].str.strip() for column in COLUMNS[1:] if column in table})
    return table.assign(label=table["label"].str.lower()) if "label" in table else table


def _check_columns(table: pd.DataFrame, path: Path) -> None:
    """Raise UserError if the table lacks a column that is needed."""
    others = [str(column) for column in table if column not in COLUMNS]
    for column in NEEDED:
        if column not in table:
            guess = _guess(column, others)
            remedy = f"did you mean {guess!r}? Then call it {column!r}" if guess else "name it in the header"
            raise UserError(
                f"{path}: column {column!r} is missing; {remedy}; a header with file and label, commas between, is "
                "needed"
            )


def _guess(name: str, names: Sequence[str]) -> str | None:
    """Return which of `names` somebody may have meant by `name`."""
    written = {other.lower(): other for other in names}
    return next((written[close] for close in get_close_matches(name.lower(), written, 1)), None)


def _members(found: Archive | Folder, names: Sequence[str], files: Iterable[str]) -> dict[str, str]:
    """Return where each file of the table is; files that are not there are left out."""
    own = own_files(names)
    there = {name: name for name in names}
    if isinstance(found, Archive) and len({name.split("/")[0] for name in own}) == 1:
        there = {name.partition("/")[2]: name for name in own} | there
    composed = {normalize("NFC", name): member for name, member in there.items()}
    members = {file: there.get(file) or composed.get(normalize("NFC", file)) for file in files}
    return {file: member for file, member in members.items() if member}


def _check_rows(table: pd.DataFrame, path: Path, found: Archive | Folder, members: Mapping[str, str]) -> None:
    """Raise UserError if rows of the table cannot be used, or if all are of one class; the error counts the rows."""
    seen: set[str] = set()
    wrong = []
    for number, (file, label) in enumerate(zip(table["file"], table["label"], strict=True), start=1):
        member = members.get(file)
        if not file or file.startswith(("/", "\\")) or ":" in file.split("/")[0] or ".." in PurePosixPath(file).parts:
            problem = "is no path from the folder of images"
        elif label not in LABELS:
            problem = f"has the label {label!r}, not one of {', '.join(LABELS)}"
        elif member in seen:
            problem = "is named twice"
        else:
            problem = _unreadable(found, file, member)
        if problem:
            wrong.append(f"row {number}, {file!r}, {problem}")
        if member:
            seen.add(member)
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise UserError(
            f"{path}: {len(wrong)} of {len(table)} rows cannot be used: {'; '.join(wrong[:SHOWN])}{more}; correct "
            "them, or take them out"
        )
    if table["label"].nunique() < 2:
        there = table["label"].unique()
        raise UserError(
            f"{path}: has {'images of ' + there[0] + ' alone' if len(there) else 'no rows'}; both labels are needed"
        )


def _unreadable(found: Archive | Folder, file: str, member: str | None) -> str:
    """Return why a file of the table cannot be read, blank if it can."""
    if isinstance(found, Folder):
        place = found.path / (member or file)
        if not Path(os.path.realpath(place)).is_relative_to(os.path.realpath(found.path)):
            return f"is a link out of {found.path}, which nobody may mean to read"
        if member and not place.is_file():
            return "is a broken link, or no file"
        if member and (size := place.stat().st_size) > MAX_MEMBER_BYTES:
            return f"has {size} bytes, more than any image"
    return "" if member else f"is not in {found.path}"


def _printable(name: str) -> str:
    """Return a file's name with bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
