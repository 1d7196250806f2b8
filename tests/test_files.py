import errno
import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from deepcovid.files import replacing, sha256_of, write_csv, write_json


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
        renames.append(to)
        if len(renames) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(to))
        return replace(source, to)

    monkeypatch.setattr(Path, "replace", rename)
    with pytest.raises(OSError, match="target"), replacing(target) as partial:
        make_folder(partial, "new")
    assert (content(target), list(tmp_path.iterdir())) == (["old"], [target])


def test_a_folder_is_put_back_by_the_next_run_if_one_was_killed_between_the_renames(tmp_path):
    target = tmp_path / "target"
    make_folder(tmp_path / ".target.old", "old")
    make_folder(tmp_path / ".target.part", "new")
    with replacing(target) as partial:
        assert content(target) == ["old"]
        make_folder(partial, "newer")
    assert (content(target), list(tmp_path.iterdir())) == (["newer"], [target])


def test_what_was_moved_aside_goes_once_its_successor_is_there(tmp_path):
    target = tmp_path / "target"
    make_folder(target, "new")
    make_folder(tmp_path / ".target.old", "old")  # as a kill right after the second rename leaves them
    with replacing(target) as partial:
        make_folder(partial, "newer")
    assert (content(target), list(tmp_path.iterdir())) == (["newer"], [target])


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


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_an_error_of_the_disk_without_a_name_gets_that_of_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, replacing(tmp_path / "a.bin"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(tmp_path / "a.bin")


def test_what_a_killed_run_left_is_replaced(tmp_path):
    (tmp_path / ".a.bin.part").write_text("half of it")
    with replacing(tmp_path / "a.bin") as partial:
        assert not partial.exists()
        partial.write_text("all of it")
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
