import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from deepcovid.files import read_csv, read_json, replacing, sha256_of, write_csv, write_json
from tests.checkouts import ROOT, run


def make_file(path, text):
    path.write_text(text)


def make_folder(path, text):
    path.mkdir()
    (path / text).write_text(text)


def content(path):
    """Return the text of a file, or the names in a folder, or None where nothing is."""
    if path.is_dir():
        return [part.name for part in path.iterdir()]
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize("make", [make_file, make_folder])
@pytest.mark.parametrize("there_before", [False, True])
def test_what_is_written_takes_the_place_of_the_target(tmp_path, make, there_before):
    target, expected = tmp_path / "deep" / "target", tmp_path / "expected"
    make(expected, "new")
    if there_before:
        target.parent.mkdir()
        make(target, "old")
    with replacing(target) as partial:
        make(partial, "new")
        assert (content(target) is not None) == there_before
    assert content(target) == content(expected)
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("make", [make_file, make_folder])
@pytest.mark.parametrize("there_before", [False, True])
@pytest.mark.parametrize("reason", [OSError, KeyboardInterrupt])
def test_an_interruption_leaves_what_was_there_and_nothing_else(tmp_path, make, there_before, reason):
    target = tmp_path / "target"
    if there_before:
        make(target, "old")
    before = content(target)

    def write_half():
        with replacing(target) as partial:
            make(partial, "half of the n")
            raise reason

    with pytest.raises(reason):
        write_half()
    assert content(target) == before
    assert list(tmp_path.iterdir()) == [target] * there_before


def test_a_folder_is_not_lost_if_its_successor_cannot_be_renamed(tmp_path, monkeypatch):
    target, renames, replace = tmp_path / "target", [], Path.replace
    make_folder(target, "old")

    def rename(source, to):
        renames.append((source.suffix, to.suffix))
        if len(renames) == 3:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(to))
        return replace(source, to)

    monkeypatch.setattr(Path, "replace", rename)
    with pytest.raises(OSError, match="target"), replacing(target) as partial:
        make_folder(partial, "new")
    assert renames[:3] == [(".part", ""), ("", ".old"), (".part", "")]
    assert (content(target), list(tmp_path.iterdir())) == (["old"], [target])


KILLED = """
import os, signal, sys
from pathlib import Path
from deepcovid.files import replacing

target, renames, replace = Path("target"), [], Path.replace

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def rename(source, to):
    renames.append(to)
    if len(renames) == int(sys.argv[2]):
        kill()
    replace(source, to)

Path.replace = rename
with replacing(target) as partial:
    if sys.argv[1] == "file":
        partial.write_text("half")
    else:
        partial.mkdir()
        (partial / "half").touch()
    if sys.argv[2] == "0":
        kill()
raise SystemExit("not killed")
"""


def run_until_killed(folder, kind, renames):
    """Replace `target` in `folder` in a process that is killed before so many renames, 0: while it writes."""
    result = run([sys.executable, "-c", KILLED, kind, str(renames)], folder, PYTHONPATH=str(ROOT))
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert list(folder.glob(".target.*.lock"))


@pytest.mark.parametrize(("make", "kind"), [(make_file, "file"), (make_folder, "folder")])
def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path, make, kind):
    target = tmp_path / "target"
    make(target, "old")
    before = content(target)
    run_until_killed(tmp_path, kind, 0)
    run_until_killed(tmp_path, kind, 1)
    assert (content(target), len(list(tmp_path.glob(".target.*.part")))) == (before, 1)  # the first one's has gone
    with replacing(tmp_path / "another") as partial:
        make(partial, "new")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "another", target]


def test_a_folder_is_put_back_by_the_next_run_if_one_was_killed_between_the_renames(tmp_path):
    target = tmp_path / "target"
    make_folder(target, "old")
    run_until_killed(tmp_path, "folder", 3)
    assert not target.exists()
    with replacing(target) as partial:
        assert content(target) == ["old"]
        make_folder(partial, "newer")
    assert (content(target), list(tmp_path.iterdir())) == (["newer"], [target])


def test_what_was_moved_aside_goes_once_its_successor_is_there(tmp_path):
    target = tmp_path / "target"
    make_folder(target, "new")
    make_folder(tmp_path / ".target.abcd1234.old", "old")  # as a kill right after the last rename leaves them
    (tmp_path / ".target.abcd1234.lock").touch()
    with replacing(target) as partial:
        make_folder(partial, "newer")
    assert (content(target), list(tmp_path.iterdir())) == (["newer"], [target])


def test_a_users_own_file_that_is_named_like_a_lock_is_kept(tmp_path):
    own = tmp_path / ".target.abcd1234.lock"
    own.write_text("mine")
    with replacing(tmp_path / "target") as partial:
        partial.touch()
    assert own.read_text() == "mine"


@pytest.mark.parametrize("make", [make_file, make_folder])
def test_two_runs_at_once_do_not_meet_and_the_last_to_end_leaves_its_result(tmp_path, make):
    target = tmp_path / "target"
    make(target, "old")
    with replacing(target) as first:
        make(first, "first")
        with replacing(target) as second:
            assert first.exists()
            make(second, "second")
            assert content(target) != content(second)
        assert content(target) in ("second", ["second"])
    assert content(target) in ("first", ["first"])
    assert list(tmp_path.iterdir()) == [target]


LIVING = """
import sys
from pathlib import Path
from deepcovid.files import replacing

with replacing(Path("target")) as partial, partial.open("w") as stream:
    stream.write("first ")
    print("ready", flush=True)
    stream.write(sys.stdin.readline())
"""


def test_a_run_leaves_alone_what_another_process_is_writing(tmp_path):
    """The second run ends while the first one still writes; before, it renamed what it found half-written."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", LIVING], cwd=tmp_path, env=environment, **pipes) as first:
        assert first.stdout.readline() == "ready\n"
        with replacing(tmp_path / "target") as partial:
            partial.write_text("second, whole")
        assert content(tmp_path / "target") == "second, whole"
        first.communicate("and whole")
    assert first.returncode == 0
    assert (content(tmp_path / "target"), list(tmp_path.iterdir())) == ("first and whole", [tmp_path / "target"])


HURRIED = """
import sys
from pathlib import Path
from deepcovid.files import replacing

for number in range(30):
    with replacing(Path("target")) as partial:
        partial.mkdir()
        for name in ("a", "b"):
            (partial / name).write_text(sys.argv[1])
"""


def test_two_processes_that_replace_one_folder_over_and_over_leave_a_whole_one(tmp_path):
    command, environment = [sys.executable, "-c", HURRIED], os.environ | {"PYTHONPATH": str(ROOT)}
    runs = [subprocess.Popen([*command, name], cwd=tmp_path, env=environment) for name in ("one", "two")]
    assert [one.wait() for one in runs] == [0, 0]
    assert len({path.read_text() for path in (tmp_path / "target").iterdir()}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def opened(file):
    """Return the path of an open file."""
    return str(Path(f"/proc/self/fd/{file}").readlink())


@pytest.mark.parametrize("make", [make_file, make_folder])
def test_what_is_renamed_is_on_the_disk_before(tmp_path, monkeypatch, make):
    done, fsync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(opened(file)), fsync(file)))
    monkeypatch.setattr(Path, "replace", lambda *names: (done.append("rename"), replace(*names)))
    with replacing(tmp_path / "target") as partial:
        make(partial, "new")
        parts = sorted(str(path) for path in (partial, *partial.rglob("*")))
    assert (sorted(done[:-1]), done[-1]) == (parts, "rename")


def test_files_in_a_folder_that_is_replaced_are_flushed_once(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append(opened(file)))
    with replacing(tmp_path / "folder") as folder:
        folder.mkdir()
        write_json(folder / "a.json", 1)
        assert not flushed
    assert flushed == [str(folder), str(folder / "a.json")]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_json_has_not_and_keeps_the_old_file(tmp_path, value):
    path = tmp_path / "metrics.json"
    write_json(path, {"auc": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"auc": [value]})
    assert json.loads(path.read_text()) == {"auc": 0.5}
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_indented_utf8_that_ends_with_a_newline(tmp_path):
    write_json(tmp_path / "a.json", {"source": "Guérin"})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "source": "Guérin"\n}\n'.encode()


def test_csv_has_the_wanted_digits_and_no_index(tmp_path):
    table = pd.DataFrame({"score": [1 / 3, 1e-9]}, index=[7, 8])
    write_csv(tmp_path / "a.csv", table)
    assert (tmp_path / "a.csv").read_bytes() == b"score\n0.333333\n1e-09\n"
    write_csv(tmp_path / "a.csv", table, digits=17)
    assert pd.read_csv(tmp_path / "a.csv", float_precision="round_trip")["score"].tolist() == [1 / 3, 1e-9]


@pytest.mark.parametrize("content", ["", '{"a": ', "\xff", "[" * 100_000])
def test_damaged_json_is_refused_in_a_line(tmp_path, refused, content):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text(content, "latin-1")
    with refused(f"{path}: damaged", "dvc repro"):
        read_json(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it is empty"),
        ("name,value\na,1\nb,0.", "its last line is cut off"),
        ("name,value\na,1\n", "it has 1 rows instead of 2"),
        ("name\na\nb\n", "it has no column value"),
        ("name,value\na,1,2\nb,1,2\n", "its rows have more values than its header has columns"),
        ("name,value\na,1\nb,much\n", "its column value holds what is no number"),
        ("name,value\na,1\nb,1,2\n", "damaged (Error tokenizing data"),
        ("name,value\n\xff,1\nb,1\n", "damaged ('utf-8' codec"),
    ],
)
def test_a_damaged_table_is_refused_in_a_line(tmp_path, refused, content, why):
    path = tmp_path / "a.csv"
    how = {"columns": ["name"], "numbers": ["value"], "rows": 2, "keep_default_na": False}
    table = pd.DataFrame({"name": ["a", "b"], "value": [1, 0.5]})
    write_csv(path, table)
    pd.testing.assert_frame_equal(read_csv(path, **how), table)
    path.write_text(content, "latin-1")
    with refused(str(path), why, "dvc repro"):
        read_csv(path, **how)


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_an_error_of_the_disk_without_a_name_gets_that_of_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "a.bin"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "a.bin")


def test_an_error_of_the_disk_names_the_file_that_was_to_be_there(tmp_path):
    with pytest.raises(OSError, match="No such file") as caught, replacing(tmp_path / "a.bin") as partial:
        (partial / "b").read_bytes()
    assert caught.value.filename == str(tmp_path / "a.bin/b")
    with pytest.raises(OSError, match="too long") as caught, replacing(tmp_path / (250 * "a")):
        pass
    assert caught.value.filename == str(tmp_path / (250 * "a"))
