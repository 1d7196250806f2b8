"""DVC's own files are cut, or DVC is killed while it writes them; `deepcovid doctor` or `dvc repro` mends them."""

import json
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.attack.study import RECORD, Study, killed
from benchmarks.attack.tries import Attack

RWLOCK = Path(".dvc/tmp/rwlock")
ENDED = 2**22 + 1  # more than the largest number of a process
REPRO = ("repro", "--force", "--single-item", "split@phantom")


def attacks(study: Study) -> list[tuple[str, Attack]]:
    """Return the kinds of damage."""
    return [
        ("dvc.lock, cut", partial(record_cut, study)),
        ("rwlock, cut", partial(rwlock_cut, study)),
        ("dvc.lock, killed while it is written", partial(killed_writing, study, RECORD, 1)),
        ("rwlock, killed while it is written", partial(killed_writing, study, RWLOCK, 6)),
    ]


def record_cut(study: Study, random: Random) -> None:
    path = study.folder / RECORD
    content = path.read_bytes()
    try:
        path.write_bytes(content[: random.randrange(len(content))])
        study.mend()
    finally:
        path.write_bytes(content)


def rwlock_cut(study: Study, random: Random) -> None:
    """Cut what DVC writes there while a stage runs."""
    who, data = {"pid": ENDED, "cmd": "dvc repro"}, study.folder / "data/phantom"
    write = {str(data / name): who for name in ("split.csv", "pixels.npy")}
    content = json.dumps({"read": {str(data / "catalogue.csv"): [who]}, "write": write})
    path = study.folder / RWLOCK
    path.write_text(content[: random.randrange(len(content) + 1)])
    try:
        study.mend()
    finally:
        path.unlink(missing_ok=True)


def killed_writing(study: Study, path: Path, most: int, random: Random) -> None:
    """Kill DVC when the file changes for the first, or up to the `most`-th, time."""
    file, record = study.folder / path, (study.folder / RECORD).read_bytes()
    wanted, seen = random.randint(1, most), [_state(file)]

    def changed() -> bool:
        if (state := _state(file)) != seen[-1]:
            seen.append(state)
        return len(seen) > wanted

    try:
        killed(REPRO, study.folder, changed, random)
        study.check(study.stages, absent=True)
        study.mend()
    finally:
        (study.folder / RECORD).write_bytes(record)
        (study.folder / RWLOCK).unlink(missing_ok=True)
        study.restore()


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
