"""Stages and `dvc repro` are killed: what is left is whole or missing, and the next run ends as an undisturbed one."""

import shutil
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from random import Random

from benchmarks.attack.study import Stage, Study, killed
from benchmarks.attack.tries import SURVIVED, Attack, end

RUN = ("resolve", "download@phantom", "split@phantom")  # what a killed `dvc repro` runs


def attacks(study: Study) -> list[tuple[str, Attack]]:
    """Return the kinds of kills. A whole run takes many times as long as a stage, and has one turn in ten."""
    some = ("a stage, at any moment", partial(stage_at_any_moment, study))
    writing = ("a stage, while it writes", partial(stage_while_it_writes, study))
    return [some, writing] * 4 + [some, ("`dvc repro`, at any moment", partial(whole_run, study))]


def stage_at_any_moment(study: Study, random: Random) -> None:
    stage = _prepared(study, random)
    process = study.started(stage)
    process.join(random.uniform(0, study.seconds[stage.name]))
    end(process)
    _check(study, stage)


def stage_while_it_writes(study: Study, random: Random) -> None:
    stage = _prepared(study, random)
    folders = {(study.folder / out).parent for out in stage.outs}
    wanted = random.randint(1, 3 * len(stage.outs))  # changes of names: a file is begun, written beside and renamed
    names, changes = _names(folders), 0
    process = study.started(stage)
    while process.is_alive() and changes < wanted:
        if (now := _names(folders)) != names:
            names, changes = now, changes + 1
    time.sleep(random.choice((0, random.uniform(0, 0.02))))
    end(process)
    _check(study, stage)


def _names(folders: Iterable[Path]) -> list[str]:
    return sorted(path.name for folder in folders if folder.is_dir() for path in folder.iterdir())


def whole_run(study: Study, random: Random) -> None:
    study.restore()
    # DVC and the start of each stage take seconds too.
    moment = time.monotonic() + random.uniform(0, 5 + 3 * sum(study.seconds[name] for name in RUN))

    def over() -> bool:
        time.sleep(0.01)
        return time.monotonic() > moment

    killed(("repro", "--force", RUN[-1]), study.folder, over, random)
    study.check(study.stages, absent=True)
    study.mend()


def _prepared(study: Study, random: Random) -> Stage:
    """Return a stage to kill, with its outputs there or not."""
    study.restore()
    stage = random.choice(study.stages)
    if random.random() < 0.5:
        for out in stage.outs:
            path = study.folder / out
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return stage


def _check(study: Study, stage: Stage) -> None:
    study.check([stage], absent=True)
    result = study.again(stage)
    if result.outcome != SURVIVED:
        raise RuntimeError(f"{stage.name} does not run again: {result.said}")
    study.check([stage])
    study.check_tidy([stage])
