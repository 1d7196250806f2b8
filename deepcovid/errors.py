"""The errors that users see, and how they see them."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

REMAKE = "run `dvc repro`, which makes it anew"  # where a file of ours is damaged
REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "the file system is read-only; work in a folder you may write to",
    errno.EACCES: "permission is missing; make the file and its folder readable and writable for you",
    errno.ENAMETOOLONG: "give the file a shorter name",
    errno.ENOENT: "the file is missing; run `dvc repro`, which makes what a stage needs",
}


class Problem(NamedTuple):
    """Something that needs mending: what is wrong, and the command that mends it."""

    what: str
    command: str


class UserError(Exception):
    """Something a user can put right.

    The message is one line: what was wrong, which file or parameter, what to do.
    """


class BadImageError(UserError):
    """One image that cannot be used; the message says why and what to do."""


def reason_of(error: Exception) -> str:
    """Return another library's message as one line, without addresses in memory, which differ from run to run."""
    return re.sub(r" ?<[^<>]* at 0x[0-9a-f]+>", "", " ".join(str(error).split()))


def describe(error: UserError | OSError) -> str:
    """Return the error as one line that names the file and the remedy."""
    if isinstance(error, OSError):
        return printable(f"{error.filename or 'a file'}: {cause(error)}")
    return cause(error)


def cause(error: UserError | OSError) -> str:
    """Like `describe`, but leave out the file name of operating-system errors, because the caller prints it."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {REMEDIES.get(error.errno or 0, 'check the file and the disk')}"
    return printable(" ".join(str(error).split()))


def printable(text: str) -> str:
    """Return names of files and the like without what would move the cursor of a terminal, or is no text at all."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


@contextmanager
def in_one_line() -> Iterator[None]:
    """Exit with 1 and one line on standard error if the block raises an error that a user can put right.

    Set DEEPCOVID_TRACEBACK=1 to see where it was raised.
    """
    try:
        yield
    except (UserError, OSError) as error:
        if os.environ.get("DEEPCOVID_TRACEBACK"):
            raise
        sys.exit(f"error: {describe(error)}")
