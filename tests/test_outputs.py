"""`deepcovid check --bytes` in a small repository of DVC's own making."""

import json
import os
from pathlib import Path

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from deepcovid.commands import main
from deepcovid.recorded import digest_of

PIPELINE = """\
stages:
  file: {cmd: "echo 123 > file", outs: [file]}
  folder: {cmd: "mkdir -p folder/a folder/a-b && echo 1 > folder/a/x && echo 2 > folder/a-b/é", outs: [folder]}
  kept: {cmd: "mkdir -p kept && echo 3 > kept/x", outs: [{kept: {cache: false}}]}
  empty: {cmd: "mkdir -p empty", outs: [{empty: {cache: false}}]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with Repo.init(no_scm=True) as repository:
            Path("dvc.yaml").write_text(PIPELINE)
            repository.reproduce()
    return folder


@pytest.fixture
def checked(made, monkeypatch, capsys):
    """A function that runs the command in that repository and returns its status and what it printed."""
    monkeypatch.chdir(made)
    kept = {path: path.read_bytes() for path in made.rglob("*") if path.is_file() and ".dvc" not in path.parts}

    def run_it():
        try:
            status = main(["check", "--bytes"])
        except SystemExit as ended:
            return 1, str(ended.code)
        return status, capsys.readouterr().out

    yield run_it
    for path in {path for path in made.rglob("*") if path.is_file() and ".dvc" not in path.parts} - kept.keys():
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)


def test_hashes_are_those_of_dvc(checked):
    outs = [out for stage in YAML(typ="safe").load(Path("dvc.lock"))["stages"].values() for out in stage["outs"]]
    assert {out["path"]: out["md5"] for out in outs} == {
        name: digest_of(Path(name)) for name in ("file", "folder", "kept", "empty")
    }


def test_outputs_that_are_as_recorded_pass(checked):
    assert checked() == (0, "bytes: 4 outputs are as dvc.lock records them, 0 are not\n")


def test_an_empty_folder_which_git_does_not_keep_may_be_absent(checked):
    Path("empty").rmdir()
    assert checked() == (0, "bytes: 4 outputs are as dvc.lock records them, 0 are not\n")
    Path("empty").mkdir()


def rewritten(name):
    """Change a byte, not the size nor the time."""
    path = Path(name)
    times = path.stat()
    path.chmod(0o644)
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda: rewritten("file"), "DIFFERS file"),
        (lambda: Path("file").unlink(), "MISSING file"),
        (lambda: rewritten("folder/a-b/é"), "DIFFERS folder/a-b/é"),
        (lambda: Path("folder/a/x").unlink(), "MISSING folder/a/x"),
        (lambda: Path("folder/more").touch(), "NEW     folder/more"),
        (lambda: rewritten("kept/x"), "DIFFERS kept"),  # DVC has no list of what git keeps
    ],
)
def test_each_file_that_is_not_as_recorded_is_listed(checked, damage, line):
    damage()
    status, out = checked()
    assert status == 1
    assert out.splitlines()[:2] == [line, "bytes: 3 outputs are as dvc.lock records them, 1 are not"]
    assert "`dvc repro`" in out


def test_what_todays_pipeline_does_not_make_may_be_absent_but_not_damaged(checked, made):
    lock = YAML(typ="safe").load(Path("dvc.lock"))
    lock["stages"]["other"] = {"cmd": "make it", "outs": [{"path": "other", "md5": digest_of(Path("file")), "size": 4}]}
    lock["stages"]["older"] = {"cmd": "make it", "outs": [{"path": "folder", "md5": "0" * 32, "size": 4}]}
    YAML().dump(lock, Path("dvc.lock"))
    status, out = checked()
    assert (status, out.count("not here")) == (0, 1)
    assert out.endswith("; 1 of stages that do not run today are not here\n")
    Path("other").write_text("124\n")
    status, out = checked()
    assert (status, out.splitlines()[0]) == (1, "DIFFERS other")


def test_outputs_of_stages_that_the_record_lost_are_listed(checked):
    lock = YAML(typ="safe").load(Path("dvc.lock"))
    del lock["stages"]["kept"]
    YAML().dump(lock, Path("dvc.lock"))
    status, out = checked()
    assert status == 1
    assert out.splitlines()[:2] == ["UNKNOWN kept", "bytes: 3 outputs are as dvc.lock records them, 1 are not"]
    assert "`deepcovid doctor`" in out


@pytest.mark.parametrize("content", ["stages: [\n", "", None])
def test_a_damaged_record_is_one_line(checked, content):
    path = Path("dvc.lock")
    path.write_text(content) if content is not None else path.unlink()
    status, said = checked()
    assert status == 1
    assert said.startswith("error: dvc.lock: ")
    assert "dvc repro" in said


def test_names_of_files_are_refused_with_it(checked):
    with pytest.raises(SystemExit, match="--bytes: compares every output"):
        main(["check", "--bytes", "metrics"])


def test_a_damaged_list_of_a_folder_names_the_folder(checked, made):
    listed = next(made.glob(".dvc/cache/files/md5/*/*.dir"))
    before = listed.read_bytes()
    listed.chmod(0o644)
    listed.write_text(json.dumps([{"relpath": 1}]))
    rewritten("folder/a/x")
    try:
        assert checked()[1].startswith("DIFFERS folder\n")
    finally:
        listed.write_bytes(before)
