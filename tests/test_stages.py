"""Stages as scripts: their options, and what they say when something is wrong."""

import errno
import importlib
import inspect
import os
import re
import runpy
import signal
import subprocess
import sys
import time

import pytest
from ruamel.yaml import YAML

from deepcovid.commands.check import read_tolerances
from deepcovid.errors import UserError, describe, in_one_line
from deepcovid.fetching import editions, packaged, remote_files
from deepcovid.nets.zoo import NETS
from deepcovid.report.checklists import read_checklists
from stages import _fingerprints
from stages._resolved import read_published
from stages.replay import replay_stage
from tests.checkouts import ROOT, edit_params, resolve, run, settings_of, smaller, stage

STAGES = _fingerprints.stages()


@pytest.fixture
def resolved(checkout):
    """A checkout in which the stage `resolve` ran."""
    resolve(checkout)
    return checkout


def test_the_stages_are_the_scripts_that_the_pipeline_runs():
    pipeline = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
    assert {re.search(r"-m stages\.(\w+)", stage["cmd"])[1] for stage in pipeline} == set(STAGES)


@pytest.mark.parametrize("name", STAGES)
def test_help_says_what_a_stage_does_and_gives_an_example(name, monkeypatch, capsys):
    """As `python -m` runs it, in this process."""
    monkeypatch.setattr("sys.argv", [f"stages/{name}.py", "--help"])
    monkeypatch.delitem(sys.modules, f"stages.{name}", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"stages.{name}", run_name="__main__", alter_sys=True)
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    options = "" if name in ("resolve", "plots") else " --dataset phantom"
    assert f"example: python -m stages.{name}{options}" in shown
    assert inspect.getdoc(importlib.import_module(f"stages.{name}")).split(".")[0] in shown


def test_a_stage_gives_help_in_its_own_process_too(checkout):
    result = stage(checkout, "split", "--help")
    assert result.returncode == 0
    assert "example: python -m stages.split --dataset phantom" in " ".join(result.stdout.split())


def test_a_missing_input_is_one_line_that_names_the_file_and_the_remedy(resolved):
    result = stage(resolved, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: provenance/phantom/data.json: ")
    assert "dvc repro" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_stage_that_starts_before_the_parameters_are_resolved_names_the_remedy(checkout):
    result = stage(checkout, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: resolved/phantom.json: not there yet; run `dvc repro`")
    assert result.stderr.count("\n") == 1


def test_a_traceback_comes_when_asked_for(resolved):
    result = stage(resolved, "split", "--dataset", "phantom", DEEPCOVID_TRACEBACK="1")
    assert "Traceback" in result.stderr


@pytest.mark.parametrize(
    ("replays", "named"),
    [
        ([], "none"),
        (
            ["failed-reproduction-replayed", "released-code-replayed"],
            "failed-reproduction-replayed, released-code-replayed",
        ),
    ],
)
def test_a_replay_of_a_recipe_that_replays_does_not_name_is_refused(params, refused, replays, named):
    params["replays"] = replays
    parameters = settings_of(params).parameters("phantom", NETS)
    with refused(f"--recipe paper: replays names {named}; name it there"):
        replay_stage(parameters, "phantom", "resnet18", "paper")


def test_an_unknown_data_set_is_named_with_the_known_ones(checkout):
    result = stage(checkout, "split", "--dataset", "phantasm")
    assert result.returncode == 1
    assert "phantasm" in result.stderr
    assert "covid-xray-5k" in result.stderr
    assert "Traceback" not in result.stderr


def test_broken_yaml_is_an_error_that_names_the_file(checkout):
    (checkout / "params.yaml").write_text("datasets: [phantom\n")
    result = stage(checkout, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml: not valid YAML")


def test_a_key_named_twice_is_an_error(checkout):
    with (checkout / "params.yaml").open("a") as params:
        params.write("\nmodels: [resnet18]\n")
    result = stage(checkout, "split", "--dataset", "phantom")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


def test_a_published_number_without_a_source_stops_the_pipeline_at_its_start(checkout):
    path = checkout / "reference/published.yaml"
    text = path.read_text()
    path.write_text(re.sub("source: .*", 'source: ""', text, count=1))
    result = stage(checkout, "resolve")
    assert result.returncode == 1
    assert result.stderr.startswith("error: reference/published.yaml: groups.paper.source: is blank")
    assert result.stderr.count("\n") == 1
    assert not (checkout / "resolved").exists()


def test_unfinished_work_of_a_net_or_data_set_that_is_gone_is_removed(checkout):
    kept, gone = (
        ("features/phantom/resnet18", "external/phantom/cohen"),
        ("features/phantom/old", "features/old/resnet18"),
    )
    for name in (*kept, *gone):
        (checkout / "unfinished" / name).mkdir(parents=True)
    resolve(checkout)
    assert [name for name in (*kept, *gone) if (checkout / "unfinished" / name).exists()] == list(kept)


def test_a_full_disk_is_an_error_with_a_remedy_and_nothing_is_left(checkout, tmp_path):
    """A file-size limit stands in for a full disk: the write fails half-way, while other processes draw."""

    def more_patients(values):
        smaller(values)
        values["dataset"]["phantom"]["source"]["images"]["train"]["normal"] = 50

    edit_params(checkout, more_patients)
    resolve(checkout)
    limit = "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.argv = ['x', '--dataset', 'phantom']; "
    limit += "runpy.run_module('stages.download', run_name='__main__', alter_sys=True)"
    result = run([sys.executable, "-c", limit], checkout)
    assert result.returncode == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in result.stderr
    assert not (checkout / "data/phantom/raw").exists()
    assert not left_over(checkout)


def left_over(folder):
    """Return the files and folders that stages write to before they rename them, and their locks."""
    return [path for path in folder.rglob(".*") if path.suffix in (".part", ".old", ".lock")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_forked_process_that_runs_no_python_code(number):
    """As one of a pool that waits for a lock: with a handler of Python's, its parent would wait for it for ever."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = signal.signal(number, usual[number])  # whoever runs the tests in the background ignores interrupts
    try:
        with in_one_line():
            process = os.fork()
            if not process:
                os._exit(int(signal.getsignal(number) is not signal.SIG_DFL))
            _, status = os.waitpid(process, 0)
    finally:
        signal.signal(number, before)
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_stage_that_is_terminated_leaves_nothing_half_written(checkout):
    resolve(checkout)
    command = [sys.executable, "-m", "stages.download", "--dataset", "phantom"]
    with subprocess.Popen(command, cwd=checkout, stderr=subprocess.PIPE, text=True) as process:
        while not any(path.suffix == ".part" for path in left_over(checkout)):
            assert process.poll() is None
            time.sleep(0.05)
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in err
    assert not left_over(checkout)
    assert not (checkout / "data/phantom/raw").exists()


def test_an_interrupt_is_one_line_whatever_processes_draw(checkout):
    """As a terminal sends it: to all processes of the stage, those that draw the phantoms among them."""
    resolve(checkout)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.download", "--dataset", "phantom"],
        cwd=checkout,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests may ignore it
    )
    while not any(path.suffix == ".part" for path in left_over(checkout)):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted"
    assert not left_over(checkout)


def test_an_interrupt_while_a_stage_is_loaded_is_one_line(checkout, tmp_path):
    (tmp_path / "torch.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    command = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command += "sys.exit(subprocess.run([sys.executable, '-m', 'stages.train', '--dataset', 'phantom']).returncode)"
    result = run([sys.executable, "-c", command], checkout, PYTHONPATH=str(tmp_path))
    assert (result.returncode, result.stderr) == (130, "interrupted\n")


TOO_LITTLE = {
    "torch": "import torch; torch.empty(2**46)",
    "numpy": "import numpy; numpy.empty(2**46)",
    "python": "[0] * 2**60",
    "the system": "import errno; raise OSError(errno.ENOMEM, 'Cannot allocate memory')",
    "a device": "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
}


@pytest.mark.parametrize("code", TOO_LITTLE.values(), ids=TOO_LITTLE)
def test_too_little_memory_is_one_line_with_a_remedy(code):
    lines = ["from deepcovid.errors import in_one_line", "with in_one_line():", f"    {code}"]
    result = run([sys.executable, "-c", "\n".join(lines)], ROOT)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith("error: too little memory (")
    assert "features.batch_size" in result.stderr


def test_a_runtime_error_that_has_nothing_to_do_with_memory_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="shapes"), in_one_line():
        raise RuntimeError("shapes cannot be multiplied")


@pytest.mark.parametrize(
    ("raised", "line", "status"),
    [("UserError('x: wrong')", "error: x: wrong", 1), ("KeyboardInterrupt", "interrupted", 130)],
)
def test_what_is_said_last_has_a_line_of_its_own_below_a_progress_bar(raised, line, status):
    """The bar belongs to a generator that still waits, as in a pipeline of them."""
    code = """
from deepcovid.errors import UserError, in_one_line
from deepcovid.progress import track

def numbers():
    yield from track(range(5), "counting")

def work():
    waiting = numbers()
    for number in waiting:
        raise RAISED

with in_one_line():
    work()
"""
    result = run([sys.executable, "-c", code.replace("RAISED", raised)], ROOT)
    assert result.returncode == status
    assert "counting" in result.stderr
    assert result.stderr.splitlines()[-1] == line


@pytest.mark.parametrize("value", ["2020-13-45", "!!int x", '!!int ""', "!!bool x", "{[[1], 2]: 3}", "[" * 1000])
@pytest.mark.parametrize("read", [read_published, read_checklists, read_tolerances, remote_files, editions, packaged])
def test_a_reference_file_with_a_value_that_yaml_cannot_read_is_one_line(tmp_path, monkeypatch, refused, read, value):
    path = tmp_path / "reference.yaml"
    path.write_text(f"known: {value}\n")
    monkeypatch.setattr("stages.paths.PUBLISHED", path)
    arguments = {
        read_published: [],
        remote_files: [path, "known"],
        editions: [path, "known"],
        packaged: [path, "known"],
    }
    with refused(f"{path}: holds a value that YAML cannot read ("):
        read(*arguments.get(read, [path]))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EROFS, "the file system is read-only"),
        (errno.ENOSPC, "free some space"),
        (errno.EACCES, "permission is missing"),
    ],
)
def test_an_error_of_the_disk_names_the_file_and_the_remedy(number, remedy):
    text = describe(OSError(number, os.strerror(number), "data/x.npy"))
    assert text.startswith("data/x.npy: ")
    assert remedy in text
    assert "\n" not in text


def test_an_error_never_moves_the_cursor_of_the_terminal():
    assert describe(UserError("head: format \x1b[2J\x9b\u202e\nx")) == r"head: format \x1b[2J\x9b\u202e x"
    assert "\x1b" not in describe(OSError(2, "No such file", "\x1b[2J"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_error_with_a_remedy(checkout):
    edit_params(checkout, smaller)
    resolve(checkout)
    (checkout / "data").mkdir()
    (checkout / "data").chmod(0o500)
    result = stage(checkout, "download", "--dataset", "phantom")
    assert result.returncode == 1
    assert "permission is missing" in result.stderr
