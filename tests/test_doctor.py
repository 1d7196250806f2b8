"""The command `deepcovid doctor`: what it says is there, and what it says of files that a kill left damaged."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from deepcovid.commands import doctor, main
from deepcovid.nets.zoo import NETS
from deepcovid.parameters import validate
from tests.checkouts import ROOT, run

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@t"]
OUT = {"hash": "md5", "md5": "d41d8cd98f00b204e9800998ecf8427e", "size": 0}
STAGES = {name: {"cmd": f"make {name}", "outs": [{"path": f"data/{name}", **OUT}]} for name in ("one", "two", "three")}
TMP = Path(".dvc/tmp")
RESTORE = "git checkout HEAD dvc.lock"
NOBODY = 4_000_000_000  # no process has this number


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The current folder: parameters, a dvc.lock, which is committed, and what a DVC command leaves in .dvc/tmp."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DEEPCOVID_MIRROR", raising=False)
    shutil.copytree(ROOT / "reference", folder / "reference")
    for name in ("params.yaml", "requirements.txt"):
        shutil.copyfile(ROOT / name, folder / name)
    TMP.mkdir(parents=True)
    (TMP / "rwlock").write_text('{"read": {}}')
    YAML().dump({"schema": "2.0", "stages": STAGES}, Path("dvc.lock"))
    for command in (["init", "-q"], ["add", "dvc.lock"], ["commit", "-qm", "results"]):
        subprocess.run([*GIT, *command], check=True)
    return folder


@pytest.fixture
def told(project, capsys):
    """A function that runs the doctor and returns its status and what it printed."""

    def run_it():
        status = main(["doctor"])
        return status, capsys.readouterr().out

    return run_it


def test_where_all_is_well_it_says_what_is_installed_and_mends_nothing(told):
    status, out = told()
    assert status == 0
    assert out.endswith("\nnothing to mend\n")
    assert "Python 3." in out
    assert "dvc 3." in out
    assert "\ndevice          cpu, " in out or "\ndevice          cuda" in out
    assert "  phantom            runs      within reach\n" in out
    assert "  phantom-external   test set  within reach\n" in out
    assert "dataset.folder.source.images: it is blank" in out


def cut(name, size):
    Path(name).write_bytes(Path(name).read_bytes()[:size])


def text_of(stages):
    YAML().dump({"schema": "2.0", "stages": stages}, Path("dvc.lock"))


DAMAGE = {
    "cut, no YAML": (lambda: cut("dvc.lock", -45), "dvc.lock: damaged (", RESTORE),
    "cut at a line": (lambda: text_of({"one": STAGES["one"]}), "first two", RESTORE),
    "a stage without its outputs": (lambda: text_of(STAGES | {"two": {"cmd": "make two"}}), "first two", RESTORE),
    "half a stage": (lambda: text_of(STAGES | {"two": {"cm": None}}), "records of two is not whole", RESTORE),
    "emptied": (lambda: cut("dvc.lock", 0), "dvc.lock: damaged (it lists no stages)", RESTORE),
    "garbled": (lambda: Path("dvc.lock").write_bytes(bytes(range(256))), "dvc.lock: damaged (not YAML", RESTORE),
    "a merge": (lambda: Path("dvc.lock").write_text("<<<<<<< HEAD\nstages:\n"), "dvc.lock: damaged (", RESTORE),
    "removed": (lambda: Path("dvc.lock").unlink(), "dvc.lock: not there", RESTORE),
    "rwlock emptied": (lambda: cut(TMP / "rwlock", 0), "rwlock: damaged", "rm .dvc/tmp/rwlock"),
    "rwlock cut": (lambda: cut(TMP / "rwlock", 8), "rwlock: damaged", "rm .dvc/tmp/rwlock"),
    "rwlock of another form": (lambda: (TMP / "rwlock").write_text("[]"), "rwlock: damaged", "rm .dvc/tmp/rwlock"),
    "rwlock of another program": (
        lambda: (TMP / "rwlock").write_text(json.dumps({"write": {"a": {"pid": os.getpid(), "cmd": "dvc repro"}}})),
        f"says that process {os.getpid()} is `dvc repro`, but that is another program now",
        "rm .dvc/tmp/rwlock",
    ),
}


@pytest.mark.parametrize(("damage", "said", "command"), DAMAGE.values(), ids=DAMAGE)
def test_what_a_kill_leaves_is_named_with_the_command_that_mends_it(told, damage, said, command):
    damage()
    status, out = told()
    assert status == 1
    assert said in out
    assert f"\n    {command}\n" in out
    assert out.endswith("\n1 to mend\n")
    subprocess.run(command, shell=True, check=True, capture_output=True)
    assert told()[0] == 0


def test_while_dvc_runs_its_files_are_left_alone_for_it_may_be_writing_them(told):
    (TMP / "rwlock").write_text("")
    Path("data").mkdir()
    dvc = subprocess.Popen(["dvc", "30"], executable=shutil.which("sleep"), cwd="data")
    try:
        status, out = told()
    finally:
        dvc.kill()
        dvc.wait()
    assert status == 0
    assert f"runs now (process {dvc.pid}, dvc 30); ask again after it" in out
    assert told()[0] == 1


def test_entries_of_processes_that_ended_are_left_to_dvc(told):
    (TMP / "rwlock").write_text(json.dumps({"write": {"a": {"pid": NOBODY, "cmd": "dvc repro"}}}))
    assert told()[0] == 0


def test_without_a_committed_record_that_is_whole_a_damaged_one_is_removed(told, project):
    cut("dvc.lock", -45)
    subprocess.run([*GIT, "commit", "-qam", "damaged"], check=True)
    assert "\n    rm dvc.lock\n" in told()[1]
    shutil.rmtree(project / ".git")
    assert "\n    rm dvc.lock\n" in told()[1]


def test_wrong_parameters_are_named(told):
    Path("params.yaml").write_text("datasets: [phantom\n")
    status, out = told()
    assert status == 1
    assert "params.yaml: not valid YAML" in out
    shutil.copyfile(ROOT / "params.yaml", "params.yaml")
    assert told()[0] == 0


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(told, monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == "pooch" else "1.0")
    status, out = told()
    assert status == 1
    assert f"packages: pooch not installed\n    {doctor.INSTALL}\n" in out
    assert "torch 1.0 (pinned 2." in out


def test_outside_a_project_it_says_where_to_run_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"params\.yaml: no such file; run this in the project's folder"):
        main(["doctor"])


def test_the_home_of_nobody_is_a_folder_that_is_not_there(project, params):
    params["dataset"]["folder"]["source"] |= {"images": "~nobody-at-all/images", "table": "~nobody-at-all/a.csv"}
    own = validate(params, "params.yaml", NETS).dataset["folder"]
    _, lacks = doctor.needs(own, ["resnet18"], [])
    assert [line.split(";")[0] for line in lacks] == [
        "dataset.folder.source.images: ~nobody-at-all/images is not there",
        "dataset.folder.source.table: ~nobody-at-all/a.csv is not there",
    ]


@pytest.mark.parametrize(
    ("there", "dataset", "downloads", "lacks"),
    [
        ([], "phantom", 0, []),
        ([], "covid-xray-5k", 3, []),
        (["covid-xray-5k/data_upload_v3.zip"], "covid-xray-5k", 2, []),
        (
            [
                "covid-xray-5k/data_upload_v3.zip",
                "covid-chestxray-dataset/covid-chestxray-dataset-master.zip",
                "weights/resnet18.pth",
            ],
            "covid-xray-5k",
            0,
            [],
        ),
        ([], "cohen", 1, []),  # nets are not run on a test set of their own
        ([], "cohen-chexpert", 2, ["CheXpert-v1.0-small/train: "]),
        (["CheXpert-v1.0-small/train/patient00001"], "cohen-chexpert", 2, []),
        (["CheXpert-v1.0-small.zip"], "cohen-chexpert", 2, []),
        ([], "folder", 0, ["dataset.folder.source.images: it is blank", "dataset.folder.source.table: it is blank"]),
    ],
)
def test_what_a_data_set_needs_is_looked_for_in_the_mirrors(project, params, there, dataset, downloads, lacks):
    for name in there:
        (project / "mirror" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "mirror" / name).touch()
    (project / "mirror").mkdir(exist_ok=True)
    settings = validate(params, "params.yaml", NETS)
    found = doctor.needs(settings.dataset[dataset], ["resnet18"], [project / "mirror"])
    assert len(found[0]) == downloads
    assert [line.startswith(start) for line, start in zip(found[1], lacks, strict=True)] == [True] * len(lacks)


def test_a_net_whose_weights_have_no_address_is_named_where_no_mirror_has_them(project, params):
    own = validate(params, "params.yaml", NETS).dataset["covid-xray-5k"]
    name = "weights/xrv_densenet121.safetensors"
    assert [line.split(":")[0] for line in doctor.needs(own, ["xrv_densenet121"], [project])[1]] == [name]
    (project / "weights").mkdir()
    (project / name).touch()
    assert doctor.needs(own, ["xrv_densenet121"], [project])[1] == []


def test_a_folder_of_weights_in_the_home_folder_is_found(project, params, monkeypatch):
    monkeypatch.setenv("HOME", str(project))
    params["defaults"]["weights"]["source"] = "~/nets"
    own = validate(params, "params.yaml", NETS).dataset["covid-xray-5k"]
    assert f"{project}/nets/resnet18.pth, weights" in doctor.needs(own, ["resnet18"], [project])[1]
    (project / "nets").mkdir()
    (project / "nets/resnet18.pth").touch()
    assert not [line for line in doctor.needs(own, ["resnet18"], [project])[1] if "weights" in line]


def test_a_mirror_that_is_no_folder_is_named(told, monkeypatch):
    monkeypatch.setenv("DEEPCOVID_MIRROR", "/nowhere")
    status, out = told()
    assert status == 1
    assert "DEEPCOVID_MIRROR: no such folder as /nowhere" in out
    assert "\n    unset DEEPCOVID_MIRROR\n" in out


def test_dvc_refuses_what_the_doctor_names_and_works_after_it_is_mended(told, project):
    """The real DVC: this is what the other tests' files stand for."""

    def dvc(*words):
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # Without analytics, as .dvc/config has it: else a DVC process goes on after the command.
        return run([sys.executable, "-m", "dvc", *words], project, PATH=path, DVC_NO_ANALYTICS="1").returncode

    shutil.rmtree(".dvc")
    Path("dvc.lock").unlink()
    Path("dvc.yaml").write_text("stages:\n  one: {cmd: touch one, outs: [one]}\n  two: {cmd: touch two, outs: [two]}\n")
    assert dvc("init", "-q") == dvc("repro", "-q") == 0
    subprocess.run([*GIT, "add", "dvc.lock"], check=True)
    subprocess.run([*GIT, "commit", "-qm", "made"], check=True)
    assert told()[0] == 0
    (TMP / "rwlock").write_text('{"write": {"/tm')
    cut("dvc.lock", -20)
    assert dvc("repro", "-q") != 0
    status, out = told()
    assert (status, out.splitlines()[-1]) == (1, "2 to mend")
    commands = [line for line in out.splitlines() if line.startswith(("    git checkout ", "    rm "))]
    assert len(commands) == 2
    for command in commands:
        subprocess.run(command, shell=True, check=True, capture_output=True)
    assert dvc("repro", "-q") == 0
    assert told()[0] == 0
