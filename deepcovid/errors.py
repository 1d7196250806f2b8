"""The errors that users see, and how they see them."""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit statuses, as a shell has them
REMAKE = "run `dvc repro`, which makes it again"  # where a file of ours is damaged
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


def out_of_memory(error: BaseException) -> bool:
    """Return whether there was too little memory; of torch on the CPU only the message says so."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    torchs = isinstance(error, RuntimeError) and re.search("can't allocate memory|out of memory", str(error))
    return isinstance(error, MemoryError) or bool(torchs)


def describe(error: Exception) -> str:
    """Return the error, one that a user can put right, as one line that names the file and the remedy."""
    if out_of_memory(error):
        return printable(
            f"too little memory ({reason_of(error) or 'none is left'}); end other programs, or take fewer images at a "
            "time: features.batch_size in params.yaml, --batch-size of `deepcovid predict`"
        )
    if isinstance(error, OSError):
        return printable(f"{error.filename or 'a file'}: {cause(error)}")
    return cause(error)


def cause(error: Exception) -> str:
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

    Set DEEPCOVID_TRACEBACK=1 to see where it was raised. Ctrl-C and SIGTERM end the block as an error does, so that
    nothing half-written is left; the status is then 130 or 143.
    """
    try:
        with _stoppable():
            yield
    except KeyboardInterrupt:
        _close_bars()
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except (UserError, OSError, MemoryError, RuntimeError) as error:
        users = isinstance(error, UserError | OSError) or out_of_memory(error)
        if not users or os.environ.get("DEEPCOVID_TRACEBACK"):
            raise
        _close_bars()
        sys.exit(f"error: {describe(error)}")


def _close_bars() -> None:
    """End progress bars, so that what is printed next has a line of its own."""
    if progress := sys.modules.get("deepcovid.progress"):  # where nothing has imported it, there are none
        progress.close_bars()


@contextmanager
def _stoppable() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block on Ctrl-C, SystemExit on SIGTERM; forked processes end at once."""

    def stop(number: int, frame: object) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # tidying up is not interrupted
        sys.exit(TERMINATED)

    main = threading.current_thread() is threading.main_thread()  # others may not set handlers
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    own = [number for number, handler in usual.items() if main and signal.getsignal(number) == handler]
    for number in own:
        signal.signal(number, stop)
    _stopping.update(own)
    try:
        yield
    finally:
        _stopping.difference_update(own)
        for number in own:
            signal.signal(number, usual[number])


_stopping: set[int] = set()  # signals that `_stoppable` handles just now


def _end_at_once() -> None:
    """Let the signals end a forked process, whose work the first process tidies up.

    With a handler of Python's the process of a pool could miss the SIGTERM that ends it: if the signal comes just
    before the process waits for a lock, no Python code runs any more, and its parent waits for it for ever.
    """
    for number in _stopping:
        signal.signal(number, signal.SIG_DFL)


os.register_at_fork(after_in_child=_end_at_once)
