"""Zip archives, read by member and never unpacked; and folders, read in the same way."""

import errno
import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Iterable
from copy import copy
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from deepcovid.errors import REMAKE, UserError, reason_of

# Images and tables hardly shrink twentyfold; a member beyond this, or beyond the size, is a bomb or no image.
MAX_EXPANSION = 100
MAX_MEMBER_BYTES = 512 * 2**20
# What zip programs write unless they are told otherwise. Other methods expand up to a million times, and zipfile cannot
# unpack them a piece at a time.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What an operating system leaves behind in folders, and puts into zips.
_SYSTEM_FILE = re.compile(r"(^|/)(__MACOSX/|\._[^/]*$|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")


class Archive:
    """A zip file whose member names and sizes were checked on opening.

    Raises:
        UserError: The file is missing or no zip, or has members that are unsafe, repeated, absurdly large, encrypted,
            or neither stored nor deflated.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise UserError(f"{path}: no such archive; run the download stage") from None
        except (OSError, MemoryError):
            raise
        except Exception as error:  # on damaged bytes, zipfile raises nearly anything
            raise UserError(f"{path}: truncated or not a zip archive ({reason_of(error)}); get it again") from None
        try:
            self._check()
        except UserError:
            self._zip.close()
            raise

    def _check(self) -> None:
        seen: set[str] = set()
        for info in self._zip.infolist():
            name = info.filename
            outside = name.startswith(("/", "\\")) or ":" in name.split("/")[0] or ".." in PurePosixPath(name).parts
            if outside or not name:
                raise UserError(f"{self.path}: unsafe member name {name!r}; get the archive from its official source")
            if name in seen:
                raise UserError(f"{self.path}: two members are named {name!r}; get a clean copy of the archive")
            seen.add(name)
            if info.file_size > MAX_MEMBER_BYTES or info.file_size > MAX_EXPANSION * max(info.compress_size, 1024):
                raise UserError(
                    f"{self.path}: {name!r} expands to {info.file_size} bytes from {info.compress_size}, "
                    "which no image does; get a clean copy of the archive"
                )
            if info.compress_type not in METHODS:
                raise UserError(
                    f"{self.path}: {name!r} is compressed with method {info.compress_type}, which is not read here; "
                    "pack it again with deflate, the usual method"
                )
            if info.flag_bits & 1:
                raise UserError(f"{self.path}: {name!r} is encrypted; get a copy without a password")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    def members(self) -> list[str]:
        """Return the names of the files in the archive, folders left out, in the archive's order."""
        return [info.filename for info in self._zip.infolist() if not info.is_dir()]

    @property
    def comment(self) -> str:
        """The comment on the whole zip; `git archive` writes the commit there."""
        return self._zip.comment.decode("ascii", "backslashreplace")

    def read(self, member: str, sha256: str = "") -> bytes:
        """Return the bytes of a member, its checksum verified.

        Args:
            member: Its name.
            sha256: Of the bytes that are expected, where that is known.

        Raises:
            UserError: The member is missing, its bytes are damaged or others than expected, or they are not as many as
                the archive says.
            OSError: The file cannot be read.
        """
        try:
            info = copy(self._zip.getinfo(member))
        except KeyError:
            raise UserError(f"{self.path}: no member {member!r}; get a complete copy of the archive") from None
        # If zipfile is asked for all of a member, it unpacks up to a gigabyte and then cuts that to the size that the
        # archive says. Here it knows no size to cut at and is asked for one byte more, which only a lie can have.
        size, info.file_size = info.file_size, sys.maxsize
        try:
            with self._zip.open(info) as file:
                content = file.read(size + 1)
        except MemoryError:
            raise
        except Exception as error:  # on damaged bytes, zipfile raises nearly anything
            if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which is a place before the file's start
                raise  # of the disk or the network, not of the member
            reason = reason_of(error) or type(error).__name__
            raise UserError(f"{self.path}: {member!r} is damaged ({reason}); fetch the archive again") from None
        if len(content) != size:
            raise UserError(
                f"{self.path}: {member!r} has {'more' if len(content) > size else 'less'} than the {size} bytes that "
                "the archive says; get a clean copy of the archive"
            )
        if sha256 and hashlib.sha256(content).hexdigest() != sha256:
            raise UserError(f"{self.path}: {member!r} is another file than the catalogue knows; {REMAKE}")
        return content

    def digest(self, member: str) -> str:
        """Return the SHA-256 of a member's bytes."""
        return hashlib.sha256(self.read(member)).hexdigest()


class Folder:
    """A folder, read as an archive is; links to folders are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def members(self) -> list[str]:
        """Return the files in the folder and those below it, by their paths from it, in order."""
        found = ((PurePosixPath(os.path.relpath(folder, self.path)), names) for folder, _, names in os.walk(self.path))
        return sorted(str(folder / name) for folder, names in found for name in names)

    def read(self, member: str) -> bytes:
        """Return the bytes of a member."""
        return (self.path / member).read_bytes()


def opened(path: Path) -> Archive | Folder:
    """Return the folder or the zip at `path`."""
    return Folder(path) if path.is_dir() else Archive(path)


def own_files(names: Iterable[str]) -> list[str]:
    """Return `names` without those of files that operating systems leave behind."""
    return [name for name in names if not _SYSTEM_FILE.search(name)]


def add_member(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file to a zip, stored, with a fixed date: the zip's bytes depend on names and contents alone."""
    archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), content)
