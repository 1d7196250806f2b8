"""A user's own images: a folder or a zip of PNG, JPEG and DICOM files, and a CSV that labels them."""

import os
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from deepcovid.archives import MAX_MEMBER_BYTES, Archive, Folder, add_member, opened, own_files
from deepcovid.catalogue import CONTROL, LABELS, read_text_table
from deepcovid.errors import UserError
from deepcovid.fetching import record_of
from deepcovid.files import expanded, replacing, uneven
from deepcovid.images import dicom
from deepcovid.progress import track, warn
from deepcovid.settings import FolderSource

ARCHIVE = "images.zip"
TABLE = "images.csv"
NEEDED = ("file", "label")
COLUMNS = (*NEEDED, "finding", "view", "patient")
COVID_FINDING = "COVID-19"
SHOWN = 3  # files, in an error
OWN = ("folder", "a user's own")  # origin and edition of a user's file


def fetch(source: FolderSource, folder: Path, reference: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Put the images that the table names into one archive, under the names it uses, and the table beside it.

    Returns:
        What is to be recorded of both: of the archive, the files that the table does not name and that were left out;
        of the table, the columns that nothing reads.

    Raises:
        UserError: The images or the table are not there, or the table does not fit them.
    """
    images, table_path = (_existing(key, getattr(source, key)) for key in ("images", "table"))
    table = _read(table_path)
    _check(table, table_path)
    with opened(images) as found:
        if isinstance(found, Folder):
            _check_links(images, table["file"], table_path)
        members = _members(found, table, table_path)
        if isinstance(found, Folder):
            _check_files(images, table["file"], table_path)
        used = set(members.values())
        unnamed = [name for name in own_files(found.members()) if name not in used]
        left_out = [_printable(name) for name in unnamed if (images / name).resolve() != table_path.resolve()]
        with replacing(folder / ARCHIVE) as partial, zipfile.ZipFile(partial, "w") as archive:
            for name in track(sorted(members), "copying images", total=len(members)):
                add_member(archive, name, found.read(members[name]))
    with replacing(folder / TABLE) as partial:
        shutil.copyfile(table_path, partial)
    if left_out:
        warn(
            f"{images}: {len(left_out)} of its files are left out, for {table_path} does not name them; "
            f"first {left_out[0]!r}"
        )
    ignored = [str(column) for column in table if column not in COLUMNS]
    if ignored:
        warn(f"{table_path}: nothing reads its columns {', '.join(ignored)}; what is read is {', '.join(COLUMNS)}")
    return [
        record_of(folder / ARCHIVE, images.name, *OWN) | {"left_out": len(left_out), "left_out_files": left_out},
        record_of(folder / TABLE, table_path.name, *OWN) | {"ignored_columns": ignored},
    ]


def catalogue(folder: Path, reference: Path) -> pd.DataFrame:
    """Return one row per line of the table.

    What the table leaves blank of view and patient, and sex and age, is taken from a DICOM file's header.
    """
    table = _read(folder / TABLE).reindex(columns=list(COLUMNS), fill_value="")
    with Archive(folder / ARCHIVE) as archive:
        lines = track(table.to_dict("records"), "reading images", total=len(table))
        return pd.DataFrame([_row(archive, line) for line in lines])


def _row(archive: Archive, line: Mapping[Any, str]) -> dict[str, str]:
    file, label = line["file"], line["label"]
    header = {key: CONTROL.sub("", value) for key, value in dicom.facts(archive.read(file)).items()}
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
        "sha256": archive.digest(file),
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
    """Return the table, blanks around everything but the names of files taken off.

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
    return table.assign(**{column: table[column].str.strip() for column in COLUMNS[1:] if column in table})


def _check(table: pd.DataFrame, path: Path) -> None:
    """Raise UserError if the table by itself is no list of labelled files."""
    for column in NEEDED:
        if column not in table:
            raise UserError(
                f"{path}: column {column!r} is missing; a header with file and label, commas between, is needed"
            )
    for number, (file, label) in enumerate(zip(table["file"], table["label"], strict=True), start=1):
        if not file or file.startswith(("/", "\\")) or ":" in file.split("/")[0] or ".." in PurePosixPath(file).parts:
            raise UserError(f"{path}: row {number}: file {file!r} is no path from the folder of images; correct it")
        if label not in LABELS:
            raise UserError(f"{path}: row {number}, {file!r}: label {label!r}; write one of {', '.join(LABELS)}")
    _check_distinct(table["file"], path)
    if table["label"].nunique() < 2:
        there = table["label"].unique()
        raise UserError(
            f"{path}: has {'images of ' + there[0] + ' alone' if len(there) else 'no rows'}; both labels are needed"
        )


def _check_distinct(names: "pd.Series[str]", path: Path) -> None:
    repeated = names[names.duplicated()]
    if len(repeated):
        raise UserError(f"{path}: file {repeated.iloc[0]!r} is named twice; name each file once")


def _members(found: Archive | Folder, table: pd.DataFrame, path: Path) -> dict[str, str]:
    """Return where each file of the table is; a zip's single top folder may be left out of the table's names."""
    names = found.members()
    top = {name.split("/")[0] for name in own_files(names)}
    there = {name: name for name in names}
    if isinstance(found, Archive) and len(top) == 1:
        there = {name.partition("/")[2]: name for name in own_files(names)} | there
    missing = [file for file in table["file"] if file not in there]
    if missing:
        raise UserError(
            f"{path}: {len(missing)} of {len(table)} files are not in {found.path}, first {missing[0]!r}; "
            "write paths from there, or take those rows out"
        )
    _check_distinct(table["file"].map(there), path)
    return {file: there[file] for file in table["file"]}


def _check_links(folder: Path, files: Iterable[str], path: Path) -> None:
    """Raise UserError if links lead from `files` in the folder to places outside it, which nobody may mean to read."""
    whole = os.path.realpath(folder)
    outside = [file for file in files if not Path(os.path.realpath(folder / file)).is_relative_to(whole)]
    if outside:
        first = ", ".join(repr(file) for file in outside[:SHOWN])
        raise UserError(
            f"{folder}: {len(outside)} of the files that {path} names are links out of it, first {first}; "
            "copy those files into it, or take those rows out"
        )


def _check_files(folder: Path, files: Iterable[str], path: Path) -> None:
    """Raise UserError if one of the `files` in a folder cannot be read whole: a broken link, a pipe, a huge file."""
    for file in files:
        if not (folder / file).is_file():
            raise UserError(f"{folder / file}: a broken link, or no file; correct it, or take it out of {path}")
        size = (folder / file).stat().st_size
        if size > MAX_MEMBER_BYTES:
            raise UserError(f"{folder / file}: {size} bytes, more than any image has; take it out of {path}")


def _printable(name: str) -> str:
    """Return a file's name with bytes that are no UTF-8 as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
