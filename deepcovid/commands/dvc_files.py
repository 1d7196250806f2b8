"""DVC's own files: whether a kill left one of them damaged, and the command that mends it."""

import fcntl
import json
import time
from pathlib import Path
from typing import Any

from deepcovid.commands.check import git
from deepcovid.errors import Problem, UserError
from deepcovid.recorded import LOCK, REMEDY, RESTORE, read_lock

TMP = Path(".dvc/tmp")
RWLOCK = TMP / "rwlock"  # which process reads or writes which output
LOCKS = (TMP / "lock", TMP / "rwlock.lock")  # held while a DVC command works
PATIENCE = 0.3  # seconds; DVC writes its files in place, and one that it is writing now is whole by then
OLDER = 20  # commits that are looked through for a whole dvc.lock

Stages = dict[str, dict[str, Any]]


def problems() -> list[Problem]:
    """Return what is wrong with DVC's files below the current folder."""
    found = [_lock_problem(), _rwlock_problem(), *(_leftover(path) for path in LOCKS)]
    return [problem for problem in found if problem]


def running() -> dict[int, str]:
    """Return the command lines of the DVC processes that run in the current folder, by process."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        words = _command(process)
        try:
            here = (process / "cwd").resolve(strict=True) == Path.cwd()
        except OSError:  # it has ended, or is somebody else's
            continue
        if here and _is_dvc(words):
            found[int(process.name)] = " ".join(words).strip()
    return found


def _lock_problem() -> Problem | None:
    """Return what is wrong with dvc.lock: damage that shows by itself, or stages that the committed one has."""
    committed, restore = _committed()
    if not LOCK.is_file():
        return Problem(f"{LOCK}: not there, though git has one", restore) if committed else None
    try:
        found = _settled(LOCK, read_lock)
    except UserError as error:
        return Problem(str(error).removesuffix(f"; {REMEDY}"), restore if committed else f"rm {LOCK}")
    lost = [name for name, entry in committed.items() if not found.get(name, {}).get("outs") and entry.get("outs")]
    if not lost:
        return None
    return Problem(
        f"{LOCK}: records {len(found)} stages; {len(lost)} that the committed one records are not among them, first "
        f"{lost[0]} (if you took them out yourself, commit it instead)",
        restore,
    )


def _committed() -> tuple[Stages, str]:
    """Return the stages of the last committed dvc.lock that is whole, none where there is none, and how to restore it.

    It is that of HEAD, unless a damaged one was committed.
    """
    for revision in ("HEAD", *_revisions()):
        try:
            stages = read_lock(git("show", f"{revision}:./{LOCK}"))
        except UserError:  # no repository, no commit, no such file in it, or a damaged one
            continue
        return stages, RESTORE.replace("HEAD", revision)
    return {}, RESTORE


def _revisions() -> list[str]:
    try:
        return git("log", f"-{OLDER}", "--format=%h", "--", str(LOCK)).split()
    except UserError:
        return []


def _rwlock_problem() -> Problem | None:
    """Return whether DVC will refuse its list of who reads and writes what."""
    remedy = f"rm {RWLOCK}"
    if not RWLOCK.is_file():
        return None
    try:
        holders = _settled(RWLOCK, _holders)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Problem(f"{RWLOCK}: damaged (not what DVC writes), as a kill may leave it", remedy)
    for pid, command in holders.items():
        # DVC removes the entries of processes that have ended, but the number may be another program's by now.
        words = _command(Path(f"/proc/{pid}"))
        if words and not _is_dvc(words):
            return Problem(f"{RWLOCK}: says that process {pid} is `{command}`, but that is another program now", remedy)
    return None


def _holders(text: str) -> dict[int, str]:
    """Return the commands that the text of an rwlock names, by process."""
    values = json.loads(text)
    readers = [one for several in values.get("read", {}).values() for one in several]
    return {int(one["pid"]): str(one["cmd"]) for one in [*readers, *values.get("write", {}).values()]}


def _command(process: Path) -> list[str]:
    """Return the command line of a process, a folder of /proc, word by word; nothing where it has ended."""
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _is_dvc(words: list[str]) -> bool:
    return any(Path(word).name == "dvc" for word in words[:3])


def _leftover(path: Path) -> Problem | None:
    """Return whether a lock is held although no DVC runs here.

    By default DVC leaves the file behind, with the number of a process that has ended, and locks it through the
    operating system: that harms nobody. With `core.hardlink_lock` the file itself is the lock, and holds a path.
    """
    if not path.is_file() or running():
        return None
    if path.read_text(encoding="utf-8", errors="replace").strip().isdecimal() or not path.stat().st_size:
        with path.open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return None
            except OSError:
                pass
    return Problem(f"{path}: held, although no DVC runs in this folder: its process has ended", f"rm {path}")


def _settled(path: Path, read: Any) -> Any:
    """Return what `read` makes of a file's text; a second time after a moment, if DVC is writing it just now."""
    try:
        return read(path.read_text(encoding="utf-8", errors="replace"))
    except (UserError, ValueError, LookupError, TypeError, AttributeError):
        time.sleep(PATIENCE)
        return read(path.read_text(encoding="utf-8", errors="replace"))
