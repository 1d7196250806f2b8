"""Work is done once for all that it is known by, whatever process does it."""

import errno
import operator
from functools import partial

import joblib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcovid.passes.remembered import Job, remembering

VERSIONS = {"code": "1", "numpy": "2"}


def noted(path, value):
    """Return a value, and write down that it was asked for."""
    with path.open("a") as notes:
        notes.write(f"{value}\n")
    return value


def asked(folder, value, *known_by, versions=VERSIONS):
    """Return what remembered work returns, and how often the work itself was done so far."""
    with remembering(folder / "remembered", partial(dict, versions)) as share:
        (found,) = share([Job(partial(noted, folder / "notes", value), known_by)])
    return found, len((folder / "notes").read_text().splitlines())


def test_the_same_work_is_done_once_and_returns_the_same(tmp_path):
    assert asked(tmp_path, [1, "a"], "key", 1) == ([1, "a"], 1)
    assert asked(tmp_path, [1, "a"], "key", 1) == ([1, "a"], 1)


@pytest.mark.parametrize(
    ("known_by", "versions"),
    [(("key", 2), VERSIONS), (("key",), VERSIONS), (("key", 1), VERSIONS | {"code": "2"}), (("key", 1), {"code": "1"})],
)
def test_work_that_is_known_by_something_else_is_done(tmp_path, known_by, versions):
    asked(tmp_path, "first", "key", 1)
    assert asked(tmp_path, "second", *known_by, versions=versions) == ("second", 2)
    assert asked(tmp_path, "first", "key", 1) == ("first", 2)


@given(st.lists(st.text(max_size=3), max_size=4), st.lists(st.text(max_size=3), max_size=4))
def test_two_things_are_told_apart(tmp_path_factory, one, other):
    folder = tmp_path_factory.mktemp("two")
    asked(folder, "one", one)
    assert asked(folder, "other", other)[0] == ("one" if one == other else "other")


def test_a_damaged_result_is_made_again(tmp_path):
    asked(tmp_path, "value", "key")
    (kept,) = (tmp_path / "remembered").rglob("output.pkl")
    kept.write_bytes(kept.read_bytes()[:-3])
    assert asked(tmp_path, "value", "key") == ("value", 2)
    assert asked(tmp_path, "value", "key") == ("value", 2)


def test_what_was_done_before_a_failure_is_remembered_and_the_failure_is_not(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCOVID_WORKERS", "1")  # one job after the other
    good = Job(partial(noted, tmp_path / "notes", 1), ("good",))
    with pytest.raises(ZeroDivisionError), remembering(tmp_path / "remembered", partial(dict, VERSIONS)) as share:
        share([good, Job(partial(operator.truediv, 1, 0), ("other",))])
    with remembering(tmp_path / "remembered", partial(dict, VERSIONS)) as share:
        assert share([good, Job(partial(operator.truediv, 4, 2), ("other",))]) == [1, 2]
    assert (tmp_path / "notes").read_text() == "1\n"


def test_where_nothing_can_be_remembered_each_job_is_done_once_all_the_same(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(joblib.numpy_pickle, "dump", full)
    with pytest.warns(Warning, match="Unable to cache to disk"):
        assert asked(tmp_path, "value", "key") == ("value", 1)


@pytest.mark.parametrize("executor", ["fork", "loky"])
def test_what_other_processes_do_is_remembered_too(tmp_path, monkeypatch, executor):
    monkeypatch.setenv("DEEPCOVID_EXECUTOR", executor)
    monkeypatch.setenv("DEEPCOVID_WORKERS", "2")
    for values in ([0, 1, 2], [0, 3, 1, 2]):
        jobs = [Job(partial(noted, tmp_path / "notes", value), (value,)) for value in values]
        with remembering(tmp_path / "remembered", partial(dict, VERSIONS)) as share:
            assert share(jobs) == values
    assert sorted((tmp_path / "notes").read_text().split()) == ["0", "1", "2", "3"]
