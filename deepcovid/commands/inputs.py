"""What the user names on the command line: image files, folders of them, zips of them."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from deepcovid.archives import Folder, opened, own_files
from deepcovid.errors import UserError, cause, printable
from deepcovid.heads.prediction import read_file


class Input(NamedTuple):
    """An image, not yet read.

    Attributes:
        name: To show: its path, or that of its zip and its name there.
        picture: Where the picture of its heat maps belongs in their folder: no other's, and fit for any file system.
        file: Where it is read: its own file, or the zip.
        read: Returns the bytes.
    """

    name: str
    picture: str
    file: Path
    read: Callable[[], bytes]


def listed(arguments: Iterable[Path], stack: ExitStack) -> tuple[list[Input], dict[str, str]]:
    """Return the images that `arguments` name, and why others cannot be used, by name.

    Zips stay open until `stack` is closed.
    """
    inputs: list[Input] = []
    failures: dict[str, str] = {}
    for path in arguments:
        try:
            found = _listed(path, stack, failures)
        except (UserError, OSError) as error:
            failures[printable(str(path))] = cause(error)
        else:
            inputs += found
    return _distinct(inputs), failures


def _listed(path: Path, stack: ExitStack, failures: dict[str, str]) -> list[Input]:
    if not path.exists():
        raise UserError("not there; correct the path")
    if not path.is_dir() and path.suffix.lower() != ".zip":
        return [Input(printable(str(path)), _picture(path.name), path, partial(read_file, path))]
    if not path.is_dir() and not path.is_file():
        raise UserError("no file; leave it out")
    group = opened(path)
    stack.enter_context(group)
    passed_over = _passed_over(path) if isinstance(group, Folder) else {}
    failures |= passed_over
    members = own_files(group.members())
    if not members and not passed_over:
        raise UserError("holds no files; name a folder or a zip of images")
    reading = [
        partial(read_file, path / name) if isinstance(group, Folder) else partial(group.read, name) for name in members
    ]
    return [
        Input(printable(str(path / name)), _picture(name), path / name if isinstance(group, Folder) else path, read)
        for name, read in zip(members, reading, strict=True)
    ]


def _passed_over(path: Path) -> dict[str, str]:
    """Return the folders in `path` that os.walk passes over, and why: they are links, or cannot be listed."""
    errors: list[OSError] = []
    found: dict[str, str] = {}
    for folder, names, _ in os.walk(path, onerror=errors.append):
        links = [name for name in names if Path(folder, name).is_symlink()]
        found |= {printable(str(Path(folder, name))): "a link to a folder; name the folder itself" for name in links}
    return found | {printable(str(error.filename)): cause(error) for error in errors}


def _picture(place: str) -> str:
    """Return the path of the picture of the image at `place`, with the parts that a name may have on any system."""
    parts = [printable(part).replace("\\", "_").encode()[:150].decode(errors="ignore") for part in place.split("/")]
    return str(PurePosixPath(*parts[:-1], f"{parts[-1]}.png"))


def _distinct(inputs: list[Input]) -> list[Input]:
    """Return the inputs with a number before a picture whose place another has taken, as a file or as a folder.

    Some file systems do not tell a from A.
    """
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
    distinct = []
    for given in inputs:
        picture = given.picture
        place = PurePosixPath(picture.casefold())
        while place in files or place in folders or not files.isdisjoint(place.parents):
            picture = f"{next(numbers[given.picture.casefold()])}/{given.picture}"
            place = PurePosixPath(picture.casefold())
        files.add(place)
        folders.update(place.parents)
        distinct.append(given._replace(picture=picture))
    return distinct
