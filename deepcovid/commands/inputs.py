"""What the user names on the command line: image files, folders of them, zips of them."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import NamedTuple

from deepcovid.archives import Folder, opened, own_files
from deepcovid.errors import UserError, cause
from deepcovid.prediction import read_file


class Input(NamedTuple):
    """An image, not yet read.

    Attributes:
        name: To show: its path, or that of its zip and its name there.
        place: Its path from the folder or zip that was named, or its own name: unique among the inputs.
        read: Returns the bytes.
    """

    name: str
    place: str
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


def printable(name: str) -> str:
    """Return a file's name without what would move the cursor of a terminal, or is no text at all."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def _listed(path: Path, stack: ExitStack, failures: dict[str, str]) -> list[Input]:
    if not path.exists():
        raise UserError("not there; correct the path")
    if not path.is_dir() and path.suffix.lower() != ".zip":
        return [Input(printable(str(path)), path.name, partial(read_file, path))]
    group = opened(path)
    stack.enter_context(group)
    if isinstance(group, Folder):
        failures |= {printable(str(error.filename)): cause(error) for error in _closed_folders(path)}
    members = own_files(group.members())
    if not members:
        raise UserError("holds no files; name a folder or a zip of images")
    reading = [
        partial(read_file, path / name) if isinstance(group, Folder) else partial(group.read, name) for name in members
    ]
    return [Input(printable(str(path / name)), name, read) for name, read in zip(members, reading, strict=True)]


def _closed_folders(path: Path) -> list[OSError]:
    """Return an error for each folder in `path` that cannot be listed, which os.walk passes over."""
    errors: list[OSError] = []
    for _ in os.walk(path, onerror=errors.append):
        pass
    return errors


def _distinct(inputs: list[Input]) -> list[Input]:
    """Return the inputs with a number before a place that another has taken."""
    taken: set[str] = set()
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
    distinct = []
    for given in inputs:
        place = given.place
        while place in taken:
            place = f"{next(numbers[given.place])}/{given.place}"
        taken.add(place)
        distinct.append(given._replace(place=place))
    return distinct
