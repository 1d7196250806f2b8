"""Names in params.yaml that a shell would run: nothing of them runs, whichever stage DVC starts."""

import os
import shutil
import sys

import networkx
import pytest
from dvc.repo import Repo

from tests.checkouts import PATH, ROOT, copy_of_checkout, edit_params, resolve, run

ENVIRONMENT = {"PATH": PATH, "SHELL": "/bin/sh"}
# `touch RAN` is put in the place of RUN.
NAMES = (
    "resnet18$(RUN)",
    "resnet18`RUN`",
    "resnet18; RUN #",
    "resnet18 | RUN",
    "resnet18'$(RUN)'",
    "'; RUN; '",
    "x' && RUN && echo 'x",
    'x"$(RUN)"',
    "x\\'; RUN #",
    "x\nRUN\n",
    "x'\nRUN\n'",
    "\n'\nRUN\n",
    "x\u2028RUN\u2028",
)


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of DVC, which is opened here


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository in which `resolve` ran."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("names") / "checkout")
    run(["git", "init", "-q"], folder)
    resolve(folder)
    return folder


def dvc(folder, *arguments, **environment):
    return run([sys.executable, "-m", "dvc", *arguments], folder, **ENVIRONMENT | environment)


def test_every_stage_waits_for_resolve(repository):
    with Repo(repository) as opened:
        graph = opened.index.graph
        (first,) = (stage for stage in graph if stage.name == "resolve")
        assert len(graph) > 20
        assert set(networkx.ancestors(graph, first)) == set(graph) - {first}


def test_a_plain_repro_stops_at_resolve_which_refuses_the_name(repository):
    edit_params(repository, lambda values: values.update(models=["resnet18$(touch RAN)"]))
    result = dvc(repository, "repro")
    assert "error: params.yaml: models.0: String should match pattern" in result.stderr
    assert result.stdout.count("Running stage") == 1
    assert not list(repository.rglob("RAN*"))


def test_a_stage_that_is_started_without_resolve_gets_the_name_as_it_is(repository, tmp_path):
    """A command in place of `python` takes down what the shell hands it."""
    (tmp_path / "python").write_text(f"#!/bin/sh\nprintf '%s\\n' \"$4\" >> '{tmp_path}/names'\nexit 1\n")
    (tmp_path / "python").chmod(0o700)
    names = [name.replace("RUN", f"touch RAN{number}") for number, name in enumerate(NAMES)]
    edit_params(repository, lambda values: values.update(datasets=names, models=["resnet18"]))
    (repository / "resolved").mkdir(exist_ok=True)
    for name in names:  # so that DVC finds what stages track
        shutil.copyfile(ROOT / "resolved/phantom.json", repository / f"resolved/{name}.json")
    path = f"{tmp_path}{os.pathsep}{ENVIRONMENT['PATH']}"
    result = dvc(repository, "repro", "--single-item", "--keep-going", "download", PATH=path)
    assert result.stdout.count("Running stage") == len(names)
    assert not list(repository.rglob("RAN*"))
    # DVC takes each line of a command for one, so that a quoted name of two lines is a command that no shell takes.
    assert (tmp_path / "names").read_text().splitlines() == [name for name in names if len(name.splitlines()) == 1]


@pytest.mark.parametrize("item", [{"a $(touch RAN)": 1}, ["$(touch RAN)"]])
def test_what_is_no_name_at_all_is_refused_by_dvc(repository, item):
    edit_params(repository, lambda values: values.update(datasets=[item]))
    result = dvc(repository, "repro", "--single-item", "--keep-going", "download")
    assert "Cannot interpolate data of type" in result.stderr
    assert not list(repository.rglob("RAN*"))
