"""The whole pipeline on a few tiny phantoms: what is attacked, and what it must be again afterwards."""

import importlib
import os
import runpy
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import chdir
from multiprocessing import Process
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from benchmarks.attack.tries import SURVIVED, AcceptedWrongly, Part, Result, limited
from deepcovid.errors import UserError
from deepcovid.files import ASIDE, LOCK, OWN, PARTIAL
from deepcovid.progress import track
from deepcovid.schema import read_yaml
from stages import _fingerprints
from tests.checkouts import copy_of_checkout, edit_params, smaller

NET = "squeezenet1_1"
RECORD = Path("dvc.lock")
LATE = ("report@phantom", "plots")  # they read what DVC has recorded of the others
WAIT = 900  # seconds for a command, on a busy machine too
GIT = ("git", "-c", "user.name=attack", "-c", "user.email=attack@localhost", "-c", "commit.gpgsign=false")


class Stage(NamedTuple):
    """A stage of the pipeline as DVC resolves it: its name, its command, what it reads and what it writes."""

    name: str
    command: list[str]
    deps: list[Path]
    outs: list[Path]


class Study:
    """A copy of the project in which the pipeline has run.

    Attributes:
        folder: Where it is.
        stages: In the order in which they run.
        seconds: How long each took, by name.
        made: The bytes of every file that the stages wrote, by path from the folder.
        record: What DVC recorded of them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        copy_of_checkout(folder)
        edit_params(folder, tiny)
        run([*GIT, "init", "--quiet"], folder)
        self._commit()
        self.stages = stages_of(folder)
        for name in _fingerprints.stages():
            importlib.import_module(f"stages.{name}")  # so that no try waits for it
        self.seconds = {}
        early = [stage for stage in self.stages if stage.name not in LATE]
        for stage in track(early, "running the pipeline", unit="stages"):
            self._first(stage)
        dvc("commit", "--force", *(stage.name for stage in early), folder=folder)
        for stage in self.stages:
            if stage.name in LATE:
                self._first(stage)
        dvc("commit", "--force", folder=folder)
        self._commit()
        self.made = {path: (folder / path).read_bytes() for path in self._files()}
        self.record = read_yaml(folder / RECORD)

    def _commit(self) -> None:
        run([*GIT, "add", "--all"], self.folder)
        run([*GIT, "commit", "--quiet", "--message", "attacked"], self.folder)

    def _first(self, stage: Stage) -> None:
        start = time.perf_counter()
        result = self.again(stage)
        if result.outcome != SURVIVED:
            raise UserError(f"{stage.name}: does not run undisturbed ({result.said}); nothing can be attacked")
        self.seconds[stage.name] = time.perf_counter() - start

    def _files_in(self, out: Path) -> list[Path]:
        """Return an output, or the files in it if it is a folder, by path from the study's folder."""
        files = [self.folder / out, *(self.folder / out).rglob("*")]
        return [file.relative_to(self.folder) for file in files if file.is_file()]

    def _files(self) -> list[Path]:
        return [file for stage in self.stages for out in stage.outs for file in self._files_in(out)]

    def script(self, stage: Stage) -> None:
        """Run a stage in this process, as `python -m` would."""
        name = stage.command[2]
        sys.argv = [name, *stage.command[3:]]
        sys.modules.pop(name, None)
        with chdir(self.folder):
            runpy.run_module(name, run_name="__main__", alter_sys=True)

    def again(self, stage: Stage) -> Result:
        """Run a stage to its end, in a process of its own."""
        part = Part("again", [(stage.name, lambda random: self.script(stage))], WAIT)
        return next(part.results(0, [0]))

    def started(self, stage: Stage) -> Process:
        """Start a stage in a process of its own, to be killed."""

        def work() -> None:
            limited()
            self.script(stage)

        process = Process(target=work)
        process.start()
        return process

    def check(self, stages: Iterable[Stage], *, absent: bool = False) -> None:
        """Raise AcceptedWrongly if an output is not as the undisturbed run left it.

        Args:
            stages: Whose outputs.
            absent: An output may be missing as a whole, as it is before its stage has run.
        """
        for out in (out for stage in stages for out in stage.outs):
            if absent and not (self.folder / out).exists():
                continue
            wanted = {path for path in self.made if path == out or out in path.parents}
            found = set(self._files_in(out))
            for path in sorted(wanted ^ found):
                if not _own(path):
                    raise AcceptedWrongly(f"{path} is {'missing' if path in wanted else 'too much'}")
            for path in sorted(wanted):
                if (self.folder / path).read_bytes() != self.made[path]:
                    raise AcceptedWrongly(f"{path} has other bytes")

    def check_tidy(self, stages: Iterable[Stage]) -> None:
        """Raise AcceptedWrongly if a run has left files of a killed one beside its outputs."""
        for folder in {(self.folder / out).parent for stage in stages for out in stage.outs}:
            for path in folder.glob(OWN + ".*"):
                if path.suffix in (LOCK, PARTIAL, ASIDE):
                    raise AcceptedWrongly(f"{path.relative_to(self.folder)} was left behind")

    def restore(self) -> None:
        """Put back what a try has changed."""
        for path in self._files():
            if path not in self.made:
                (self.folder / path).unlink()
        for path, content in self.made.items():
            file = self.folder / path
            if not file.is_file() or file.read_bytes() != content:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)

    def mend(self) -> None:
        """Run what `deepcovid doctor` names, then `dvc repro`; all must then be as it was.

        Raises:
            UserError: It was mended by commands that the doctor named.
            RuntimeError: It was not mended.
            AcceptedWrongly: It seems mended, but is not as it was.
        """
        said = run([sys.executable, "-m", "deepcovid", "doctor"], self.folder, fails=True).stdout
        named = [line.strip() for line in said.split("\n\n")[-1].splitlines() if line.startswith("    ")]
        for command in named:
            words = shlex.split(command)
            if words[:2] not in (["git", "checkout"], ["rm", words[-1]]):
                raise RuntimeError(f"the doctor names a command that is not run here: {command}")
            run(words, self.folder)
        done = dvc("repro", folder=self.folder, fails=True)
        if done.returncode:
            raise RuntimeError(f"dvc repro: {' '.join(done.stderr.split())[-300:]}")
        self.check(self.stages)
        if read_yaml(self.folder / RECORD) != self.record:
            raise AcceptedWrongly(f"{RECORD} is not as it was")
        if named:
            raise UserError(f"deepcovid doctor: {'; '.join(named)}")


def _own(path: Path) -> bool:
    """Return whether a file, or a folder that it is in, is of a run that was killed."""
    return any(part.suffix in (LOCK, PARTIAL, ASIDE) and part.name.startswith(".") for part in (path, *path.parents))


def tiny(values: Any) -> None:
    """Make params.yaml one for a few images and one net."""
    smaller(values)
    for nets in ("models", "audited_models", "heatmapped_models", "replayed_models"):
        values[nets] = [NET]
    values["replays"] = []
    values["features"]["device"] = "cpu"
    phantom = values["dataset"]["phantom"]
    phantom["image_size"], phantom["source"]["height"] = 64, 96
    phantom["heatmaps"] |= {"window": 32, "stride": 32}
    for recipe in values["recipe"].values():
        recipe["epochs"] = 2


def stages_of(folder: Path) -> list[Stage]:
    """Return the stages of the pipeline in a folder, each after those that it rests on."""
    import networkx
    from dvc.repo import Repo

    with chdir(folder), Repo() as repository:
        order = networkx.dfs_postorder_nodes(repository.index.graph)
        return [
            Stage(
                stage.addressing,
                shlex.split(stage.cmd),
                [Path(dep.def_path) for dep in stage.deps],
                [Path(out.def_path) for out in stage.outs],
            )
            for stage in order
        ]


def run(command: list[str], folder: Path, *, fails: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; it may fail only if `fails`."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WAIT, check=False)
    if done.returncode and not fails:
        raise RuntimeError(f"{shlex.join(command)}: {' '.join(done.stderr.split())[-300:]}")
    return done


def dvc(*words: str, folder: Path, fails: bool = False) -> "subprocess.CompletedProcess[str]":
    """Run DVC, of this environment."""
    return run([sys.executable, "-m", "dvc", *words], folder, fails=fails)


def killed(words: Iterable[str], folder: Path, moment: Callable[[], bool], random: Random) -> None:
    """Run DVC until `moment`, asked all the time, is true; then kill it and what it started."""
    command = [sys.executable, "-m", "dvc", *words]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        end = time.monotonic() + WAIT
        while process.poll() is None and not moment() and time.monotonic() < end:
            pass
        time.sleep(random.choice((0, 0, random.uniform(0, 0.005))))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
