"""DVC's own files: whether a kill left one of them damaged, and the command that mends it."""

import json
from pathlib import Path
from typing import Any

from deepcovid.commands.check import git
from deepcovid.errors import Problem, UserError
from deepcovid.recorded import LOCK, REMEDY, RESTORE, read_lock

RWLOCK = Path(".dvc/tmp/rwlock")  # which process reads or writes which output


def problems() -> list[Problem]:
    """Return what is wrong with DVC's files below the current folder. DVC is not to run: it writes them in place."""
    return [problem for problem in (_lock_problem(), _rwlock_problem()) if problem]


def running() -> str:
    """Return the number and the command of a DVC process that runs in the current folder, blank where none does."""
    for process in Path("/proc").glob("[0-9]*"):
        words = _command(process)
        try:
            here = (process / "cwd").resolve(strict=True).is_relative_to(Path.cwd())
        except OSError:  # it has ended, or is somebody else's
            continue
        if here and _is_dvc(words):
            return f"process {process.name}, {' '.join(words).strip()}"
    return ""


def _lock_problem() -> Problem | None:
    """Return what is wrong with dvc.lock: damage that shows by itself, or stages that the committed one has."""
    committed = _committed()
    if not LOCK.is_file():
        return Problem(f"{LOCK}: not there, though git has one", RESTORE) if committed else None
    try:
        stages = read_lock(LOCK.read_text(encoding="utf-8", errors="replace"))
    except UserError as error:
        return Problem(str(error).removesuffix(f"; {REMEDY}"), RESTORE if committed else f"rm {LOCK}")
    lost = [name for name, entry in committed.items() if entry.get("outs") and not stages.get(name, {}).get("outs")]
    if not lost:
        return None
    return Problem(
        f"{LOCK}: records {len(stages)} stages; {len(lost)} that the committed one records are not among them, first "
        f"{lost[0]} (if you took them out yourself, commit it instead)",
        RESTORE,
    )


def _committed() -> dict[str, dict[str, Any]]:
    """Return the stages that the committed dvc.lock records."""
    try:
        return read_lock(git("show", f"HEAD:./{LOCK}"))
    except UserError:  # no repository, no commit, no such file in it, or a damaged one
        return {}


def _rwlock_problem() -> Problem | None:
    """Return whether DVC will refuse its list of who reads and writes what."""
    remedy = f"rm {RWLOCK}"
    if not RWLOCK.is_file():
        return None
    try:
        holders = _holders(RWLOCK.read_bytes())
    except (ValueError, LookupError, TypeError, AttributeError):
        return Problem(f"{RWLOCK}: damaged (not what DVC writes)", remedy)
    for pid, command in holders.items():
        # DVC removes the entries of processes that have ended, but the number may be another program's by now.
        words = _command(Path(f"/proc/{pid}"))
        if words and not _is_dvc(words):
            return Problem(f"{RWLOCK}: says that process {pid} is `{command}`, but that is another program now", remedy)
    return None


def _holders(content: bytes) -> dict[int, str]:
    """Return the commands that an rwlock names, by process."""
    values = json.loads(content)
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
