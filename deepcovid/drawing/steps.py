"""The command behind what is shown, with the files that went in and came out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class File:
    """A file or folder as it was when a step ran: path, MD5 as hex digits (a folder's ends in .dir), size in bytes."""

    path: str
    md5: str
    size: int


@dataclass(frozen=True)
class Step:
    """A command that was run: its unique name, the parameters it read, the files that went in and came out."""

    name: str
    command: str
    parameters: Mapping[str, Any]
    inputs: tuple[File, ...]
    outputs: tuple[File, ...]


@dataclass(frozen=True)
class Sourced(Generic[Value]):
    """A value and the step that made it."""

    value: Value
    step: Step
