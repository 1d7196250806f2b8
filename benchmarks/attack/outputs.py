"""A stage reads an output that was emptied, cut, garbled, shortened or swapped for another, and is run by itself.

A changed byte may be another number, which no reader can tell from the right one: that is for `deepcovid check --bytes`
and `dvc repro` to see, and no stage is blamed for it.
"""

from functools import partial
from pathlib import Path
from random import Random

from benchmarks.attack.mutations import flipped
from benchmarks.attack.study import Stage, Study
from benchmarks.attack.tries import AcceptedWrongly, Attack

DAMAGES = ("half", "empty", "flipped bytes", "rows dropped", "another file")
ENDINGS = (".csv", ".json", ".npy", ".safetensors", ".zip")  # what readers take apart


def attacks(study: Study) -> list[tuple[str, Attack]]:
    """Return the kinds of damage."""
    read = [(stage, file) for stage in study.stages for file in _read(study, stage)]
    return [(damage, partial(damaged, study, read, damage)) for damage in DAMAGES]


def _read(study: Study, stage: Stage) -> list[Path]:
    """Return the files that a stage reads and another has made."""
    return [
        path
        for path in study.made
        if path.suffix in ENDINGS
        and path.parts[0] != "resolved"
        and any(path == dep or dep in path.parents for dep in stage.deps)
    ]


def damaged(study: Study, read: list[tuple[Stage, Path]], damage: str, random: Random) -> None:
    study.restore()
    stage, path = random.choice(read)
    content, file = study.made[path], study.folder / path
    changed = _changed(study, path, content, damage, random)
    if changed == content:
        return
    file.write_bytes(changed)
    said = f"{stage.name} read {path}, {damage}"
    try:
        study.script(stage)
        file.write_bytes(content)
        study.check([stage])
    except AcceptedWrongly as error:
        if damage != "flipped bytes":
            raise AcceptedWrongly(f"{said}: {error}") from None
    except (Exception, SystemExit) as error:
        error.add_note(said)
        raise


def _changed(study: Study, path: Path, content: bytes, damage: str, random: Random) -> bytes:
    if damage == "half":
        return content[: len(content) // 2]
    if damage == "empty":
        return b""
    if damage == "flipped bytes":
        return flipped(content, random)
    if damage == "rows dropped":
        lines = content.splitlines(keepends=True)
        first = random.randrange(1, len(lines) + 1)
        return b"".join(lines[:first] + lines[first + random.randint(1, 3) :])
    return study.made[random.choice([other for other in study.made if other.suffix == path.suffix])]
