"""dvc.lock, where DVC records the stages that ran, and the hashes that it records."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from deepcovid.errors import UserError, reason_of
from deepcovid.schema import BAD_VALUE

LOCK = Path("dvc.lock")
RESTORE = f"git checkout HEAD {LOCK}"
REMEDY = f"get it back with `{RESTORE}`, and run `dvc repro`"


def read_lock(text: str, origin: str = str(LOCK)) -> dict[str, dict[str, Any]]:
    """Return the entries of the stages that the text of a dvc.lock records, by the stages' names.

    Raises:
        UserError: It is no YAML, or not a record of stages; `origin` is named.
    """
    try:
        stages = YAML(typ="safe").load(text)["stages"]
    except (YAMLError, *BAD_VALUE) as error:
        why = f"not YAML: {reason_of(error)}" if isinstance(error, YAMLError) else "it lists no stages"
        raise UserError(f"{origin}: damaged ({why}); {REMEDY}") from None
    if not isinstance(stages, dict) or not stages:
        raise UserError(f"{origin}: damaged (it lists no stages); {REMEDY}")
    for name, entry in stages.items():
        if not _is_whole(entry):
            raise UserError(f"{origin}: damaged (what it records of {name} is not whole); {REMEDY}")
    return stages


def _is_whole(entry: Any) -> bool:
    """Return whether an entry has what DVC writes of every stage: its command, and files with their hashes."""
    if not isinstance(entry, dict) or not isinstance(entry.get("cmd"), str):
        return False
    files = [file for part in ("deps", "outs") for file in entry.get(part) or ()]
    return all(isinstance(file, dict) and {"path", "md5", "size"} <= file.keys() for file in files)


def digest_of(path: Path) -> str:
    """Return the MD5 of a file, or of a folder's list of files, as dvc.lock records it."""
    if not path.is_dir():
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    listed = [{"md5": digest_of(files[name]), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + ".dir"
