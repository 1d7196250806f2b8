import dataclasses
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from deepcovid.errors import UserError
from deepcovid.files import sha256_of
from deepcovid.heads import head_files
from deepcovid.heads.head_files import check_weights, read_head, write_head
from tests.trained import random_head

REMEDY = "run the train stage again"


@pytest.fixture
def path(tmp_path):
    """A head file."""
    write_head(tmp_path / "heads.safetensors", random_head(features=7))
    return tmp_path / "heads.safetensors"


def contents(path):
    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["facts"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def rewrite(path, facts, tensors, matching=True):
    """Write the file anew, with the hash that belongs to it, so that only what it says is wrong."""
    if matching:
        facts = {name: value for name, value in facts.items() if name != "sha256"}
        facts |= {"sha256": head_files._digest(facts, tensors)}
    tensors = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    save_file(tensors, path, {"facts": json.dumps(facts)})


def same(one, other):
    """Whether two heads are equal, arrays to the bit and with their types."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one)]
    flat = [pair for a, b in pairs for pair in (zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)])]
    return all(np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype for a, b in flat)


@given(seeds=st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True), features=st.integers(2, 40))
def test_a_head_is_read_as_it_was_written_and_its_bytes_repeat(tmp_path_factory, seeds, features):
    head, folder = random_head(seeds, features), tmp_path_factory.mktemp("heads")
    write_head(folder / "a", head)
    write_head(folder / "b", head)
    assert same(read_head(folder / "a"), head)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()


def test_a_head_says_of_which_size_its_images_were(tmp_path):
    write_head(tmp_path / "head", random_head(image_size=96))
    assert read_head(tmp_path / "head").image_size == 96
    transform = contents(tmp_path / "head")[0]["transform"]
    assert (transform["resize"], transform["crop"]) == (96, 96)


def test_the_file_says_in_plain_json_what_is_needed_to_use_it(path):
    facts, _ = contents(path)
    assert facts["classes"] == ["covid", "non"]
    assert facts["transform"] == {
        "resize": 224,
        "crop": 224,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert facts["choices"]["cut_off"] == 0.3
    assert facts["weights_sha256"] == "ab" * 32


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_a_changed_byte_is_refused_or_says_the_same(path, data):
    whole, head = path.read_bytes(), read_head(path)
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(changed)
    try:
        message = "" if same(read_head(path), head) else "another head"  # blanks that fill up the header may be others
    except UserError as error:
        message = str(error)
    finally:
        path.write_bytes(whole)
    assert message == "" or message.startswith(f"{path}: ")
    assert "\n" not in message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_truncated_file_is_refused(path, data):
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        with pytest.raises(UserError, match=f"damaged, or not a head file.*{REMEDY}"):
            read_head(path)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", "released-code"),
        ("dataset", "covid-xray-5k"),
        ("model", "resnet18"),
        ("weights_sha256", "cd" * 32),
        ("seeds", [1, 2]),
        ("note", "added"),
        ("sha256", "cd" * 32),
    ],
)
def test_edited_facts_are_refused_with_both_hashes(path, refused, key, value):
    facts, tensors = contents(path)
    edited = facts | {key: value}
    rewrite(path, edited, tensors, matching=False)
    found = head_files._digest({name: facts[name] for name in facts if name != "sha256"}, tensors)
    others = [edited["sha256"]] + ([found] if key == "sha256" else [])
    with refused(path, "changed after it was written, damaged or tampered with", REMEDY, *others):
        read_head(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors | {"bias": tensors["bias"] + 1},
        lambda tensors: tensors | {"weight": tensors["bias"], "bias": tensors["weight"]},
        lambda tensors: tensors | {"weight": tensors["weight"].reshape(2, 2, 7)},
        lambda tensors: tensors | {"weight": tensors["weight"].view(np.int32)},
        lambda tensors: tensors | {"threshold": np.array(1e9)},
        lambda tensors: tensors | {"note": np.zeros(1)},
        lambda tensors: {name: tensors[name] for name in tensors if name != "bias"},
    ],
    ids=["value", "swapped", "shape", "type", "threshold", "added", "missing"],
)
def test_edited_tensors_are_refused(path, refused, change):
    facts, tensors = contents(path)
    rewrite(path, facts, change(tensors), matching=False)
    with refused(path, "changed after it was written, damaged or tampered with", facts["sha256"]):
        read_head(path)


@pytest.mark.parametrize("number", [0, 1, 3, "2", None])
def test_a_head_of_another_format_is_refused(path, refused, number):
    facts, tensors = contents(path)
    rewrite(path, facts | {"format": number}, tensors)
    with refused(path, "written by another version of deepcovid", f"format {number}", REMEDY):
        read_head(path)


def test_a_head_without_a_format_as_older_versions_wrote_it_is_refused(path, refused):
    facts = {"model": "resnet18", "choices": {"cut_off": 0.5}, "seeds": [0]}
    rewrite(path, facts, {"weight": np.zeros((1, 3, 2)), "bias": np.zeros((1, 2))}, matching=False)
    with refused(path, "written by another version of deepcovid", REMEDY):
        read_head(path)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"model": "alexnet"}, ["the unknown net 'alexnet'", "known are resnet18"]),
        ({"classes": ["non", "covid"]}, ["heads for the classes non, covid instead of covid, non"]),
        ({"transform": {"resize": 256, "crop": 224, "mean": [0.5], "std": [0.5]}}, ["'resize': 256", "'resize': 224"]),
        ({"transform": {"resize": 256}}, ["transform.crop", "required"]),
        (
            {"transform": {"resize": 100, "crop": 100, "mean": [], "std": []}},
            ["transform.crop", "multiple of 16"],
        ),
        ({"choices": {"cut_off": 0.5}}, ["choices", "required"]),
        ({"seeds": []}, ["seeds", "at least 1"]),
        ({"shown": 2}, ["shows head 2 of 2"]),
        ({"shown": -1}, ["shown", "greater than or equal to 0"]),
        ({"dataset": "\x1b[2J"}, ["dataset", "pattern"]),
        ({"weights_sha256": "ab"}, ["weights_sha256", "pattern"]),
    ],
)
def test_facts_that_this_version_cannot_use_are_refused(path, refused, change, parts):
    facts, tensors = contents(path)
    rewrite(path, facts | change, tensors)
    with refused(path, *parts):
        read_head(path)


@pytest.mark.parametrize("cut_off", [float("nan"), -0.1, 1.1, "half", None])
def test_a_cut_off_that_is_none_is_refused(path, refused, cut_off):
    facts, tensors = contents(path)
    rewrite(path, facts | {"choices": facts["choices"] | {"cut_off": cut_off}}, tensors)
    with refused(path, "choices.cut_off", REMEDY):
        read_head(path)


@pytest.mark.parametrize(
    ("name", "change", "part"),
    [
        ("bias", lambda bias: bias[:1], "bias is float32 (1, 2) instead of float32 (2, 2)"),
        ("weight", lambda weight: weight[:1], "weight is float32 (1, 7, 2) instead of float32 (2, 7, 2)"),
        ("weight", lambda weight: weight[0], "weight is float32 (7, 2)"),
        ("weight", lambda weight: weight.astype(np.float64), "weight is float64"),
        ("bias", lambda bias: bias * np.nan, "bias holds values that are not finite numbers"),
        ("weight", lambda weight: weight / np.float32(0), "weight holds values that are not finite numbers"),
        ("training.mean", lambda mean: mean[:-1], "training.mean is float64 (6,) instead of float64 (7,)"),
        ("training.axes", lambda axes: axes.T, "training.axes is float64 (7, 2) instead of float64 (2, 7)"),
        ("training.noise", lambda noise: noise * 0, "variances are not positive"),
        ("training.variances", lambda variances: -variances, "variances are not positive"),
        ("threshold", lambda threshold: threshold * np.nan, "threshold holds values that are not finite numbers"),
        ("threshold", lambda threshold: threshold[None], "threshold is float64 (1,)"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_tensors_that_do_not_fit_are_refused(path, refused, name, change, part):
    facts, tensors = contents(path)
    rewrite(path, facts, tensors | {name: change(tensors[name])})
    with refused(path, part, REMEDY):
        read_head(path)


def test_a_file_with_other_tensors_is_refused(path, refused):
    facts, tensors = contents(path)
    del tensors["bias"]
    rewrite(path, facts, tensors)
    with refused(path, "not a head file", "instead of bias, threshold", REMEDY):
        read_head(path)


@pytest.mark.parametrize("metadata", [None, {"model": "resnet18"}, {"facts": "{"}, {"facts": '"text"'}])
def test_a_file_without_facts_about_heads_is_refused(path, refused, metadata):
    save_file({"weight": np.zeros((1, 3, 2))}, path, metadata)
    with refused(path, "not a head file", REMEDY):
        read_head(path)


@pytest.mark.parametrize("content", [b"", b"weights", b"\x80\x04\x95pickle" * 9, b"\xff" * 64])
def test_a_file_that_is_not_safetensors_is_refused(path, refused, content):
    path.write_bytes(content)
    with refused(path, "not a head file", REMEDY):
        read_head(path)


def test_a_missing_file_is_refused_and_a_folder_is_an_error_that_names_it(tmp_path, refused):
    with refused(tmp_path / "none", "no such head file", "dvc repro"):
        read_head(tmp_path / "none")
    with pytest.raises(IsADirectoryError, match=str(tmp_path)):
        read_head(tmp_path)


def test_other_weights_are_refused_with_both_hashes(path, tmp_path, refused):
    weights = tmp_path / "weights"
    weights.write_bytes(b"other")
    with refused(path, weights, "ab" * 32, sha256_of(weights), "get the weights they were trained on"):
        check_weights(path, read_head(path), weights)
    check_weights(path, random_head(weights_sha256=sha256_of(weights)), weights)


def test_heads_of_another_data_set_net_or_recipe_are_refused(path, refused):
    own = ("phantom", random_head().model, "paper")
    assert same(read_head(path, own), read_head(path))
    for place, other in enumerate(("cohen", "resnet18", "released-code")):
        of = (*own[:place], other, *own[place + 1 :])
        with refused(f"{path}: heads of {', '.join(own)} instead of {', '.join(of)}; run `dvc repro`"):
            read_head(path, of)
