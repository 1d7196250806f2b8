"""`deepcovid check --bytes`: every output in the workspace beside the hash that dvc.lock records.

Every byte is read. `dvc status` believes that a file whose size and time are as they were is as it was.
"""

import json
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dvc.exceptions import DvcException
from dvc.repo import Repo

from deepcovid.errors import UserError, reason_of
from deepcovid.progress import track
from deepcovid.recorded import LOCK, digest_of, read_lock

EMPTY = "d751713988987e9331980363e24189ce.dir"  # what DVC records of an empty folder


class Output(NamedTuple):
    """An output, and the hashes that dvc.lock records of it.

    There are several only where two stages wrote it that today's pipeline does not have. `needed` says whether it has.
    """

    path: Path
    digests: set[str]
    needed: bool


def compare() -> int:
    """Print each output that differs, is missing or is not recorded, and how many are alike; return 1 if one is not."""
    if not LOCK.is_file():
        raise UserError(f"{LOCK}: not there, so that there is nothing to compare with; run `dvc repro`")
    stages = read_lock(LOCK.read_text(encoding="utf-8", errors="replace"))
    try:
        with Repo() as repository:
            today = {stage.addressing: list(map(str, stage.outs)) for stage in repository.index.stages}
            cache = Path(repository.cache.local.path)
    except DvcException as error:
        raise UserError(f"DVC cannot read the pipeline: {reason_of(error)}") from None
    outputs = _recorded(stages, today)
    unrecorded = sorted({path for paths in today.values() for path in paths} - outputs.keys())
    alike, passed_over, wrong = 0, 0, [f"UNKNOWN {path}" for path in unrecorded]
    for output in track(outputs.values(), "reading outputs", total=len(outputs), unit="outputs"):
        if not output.path.exists() and not output.needed:
            passed_over += 1
        elif differences := list(_differences(output, cache)):
            wrong += differences
        else:
            alike += 1
    for line in wrong:
        print(line)
    others = len(outputs) + len(unrecorded) - alike - passed_over
    rest = f"; {passed_over} of stages that do not run today are not here" if passed_over else ""
    print(f"bytes: {alike} outputs are as {LOCK} records them, {others} are not{rest}")
    if unrecorded:
        print(f"{LOCK} records nothing of what is UNKNOWN; `deepcovid doctor` says whether it was cut")
    if wrong:
        print("`dvc repro` makes anew what is not; `dvc checkout` and `git checkout` bring back what was recorded")
    return 1 if wrong else 0


def _recorded(stages: Mapping[str, Any], today: Container[str]) -> dict[str, Output]:
    """Return the outputs of the stages that dvc.lock records, by path; `today` has the names of today's stages."""
    outputs: dict[str, Output] = {}
    for name, entry in sorted(stages.items(), key=lambda pair: pair[0] not in today):
        for out in entry.get("outs", []):
            known = outputs.setdefault(out["path"], Output(Path(out["path"]), set(), name in today))
            if name in today or not known.needed:
                known.digests.add(out["md5"])
    return outputs


def _differences(output: Output, cache: Path) -> Iterator[str]:
    """Yield a line for each file of an output that differs, is missing, or is one too many."""
    path = output.path
    if not path.exists():
        if EMPTY in output.digests:  # git keeps no empty folder
            return
        yield f"MISSING {path}"
        return
    if digest_of(path) in output.digests:
        return
    listed = _listed(cache, output.digests)
    if listed is None or not path.is_dir():
        yield f"DIFFERS {path}"
        return
    there = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    for name in sorted({*there, *listed}):
        if name not in there:
            yield f"MISSING {path / name}"
        elif name not in listed:
            yield f"NEW     {path / name}"
        elif digest_of(path / name) != listed[name]:
            yield f"DIFFERS {path / name}"


def _listed(cache: Path, digests: set[str]) -> dict[str, str] | None:
    """Return the hashes of the files in a folder, by their names, if DVC's cache has the list."""
    for digest in digests:
        path = cache / digest[:2] / digest[2:]
        if digest.endswith(".dir") and path.is_file():
            try:
                return {file["relpath"]: file["md5"] for file in json.loads(path.read_bytes())}
            except (ValueError, TypeError, KeyError):  # the list is damaged too
                return None
    return None
