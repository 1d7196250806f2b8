"""Reads dvc.lock. DVC updates it after each stage, so it records every stage before the one that reads it."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from deepcovid.drawing.steps import File, Sourced, Step
from deepcovid.errors import UserError
from deepcovid.recorded import LOCK, digest_of, read_lock
from deepcovid.statistics.estimate import Model, read_result

REMEDY = "run `dvc repro`, which makes and records it"


class Lock:
    """The stages that dvc.lock records.

    Raises:
        UserError: The file is damaged, for example because DVC was killed while it wrote it.
    """

    def __init__(self) -> None:
        recorded = read_lock(LOCK.read_text(encoding="utf-8", errors="replace"))
        self._steps = {name: _step(name, entry) for name, entry in recorded.items()}

    def step_of(self, path: Path) -> Step:
        """Return the step that made the file at `path`, as a single output or in a folder.

        Raises:
            UserError: No stage made it, or it has changed since.
        """
        places = {place.as_posix(): place for place in (path, *path.parents)}
        made = [(step, file) for step in self._steps.values() for file in step.outputs if file.path in places]
        for step, file in made:
            if file.md5 == digest_of(places[file.path]):
                return step
        problem = "differs from what" if made else "is not the output of a stage that"
        raise UserError(f"{path}: {problem} {LOCK} records; {REMEDY}")

    def with_those_before(self, steps: Iterable[Step], datasets: Collection[str]) -> tuple[Step, ...]:
        """Return `steps` and all steps that their inputs came from, each before the steps that use its output.

        A folder that is an input may hold outputs of any data set. Only those of `datasets` count.
        """
        makers: dict[str, list[Step]] = {}
        for step in self._steps.values():
            for file in step.outputs:
                makers.setdefault(file.path, []).append(step)
        found: dict[str, Step] = {}
        wanted = set(datasets)

        def visit(step: Step) -> None:
            if step.name in found:
                return
            for file in step.inputs:
                # A folder may hold outputs of several steps, and dvc.lock may still have a stage under its old name.
                for path, candidates in makers.items():
                    inside = path.startswith(f"{file.path}/") and not wanted.isdisjoint(path.split("/"))
                    if path == file.path or inside:
                        for maker in candidates:
                            if path != file.path or any(out.md5 == file.md5 for out in maker.outputs):
                                visit(maker)
            found[step.name] = step

        for step in steps:
            visit(step)
        return tuple(found.values())


def sourced(lock: Lock, path: Path, kind: type[Model]) -> Sourced[Model]:
    """Return the result that a file holds and the step that made it.

    Raises:
        UserError: No stage made the file, or it is not as its stage wrote it.
    """
    step = lock.step_of(path)  # first, to raise an error if the file is not whole
    return Sourced(read_result(path, kind), step)


def _step(name: str, entry: Mapping[str, Any]) -> Step:
    parameters = {key: value for values in entry.get("params", {}).values() for key, value in values.items()}
    return Step(name, entry["cmd"], parameters, _files(entry.get("deps", [])), _files(entry.get("outs", [])))


def _files(entries: Iterable[Mapping[str, Any]]) -> tuple[File, ...]:
    return tuple(File(entry["path"], entry["md5"], entry["size"]) for entry in entries)
