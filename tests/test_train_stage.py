"""The stages train and ladder train only what they do not remember, and leave the same files all the same."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepcovid import catalogue
from deepcovid.files import sha256_of
from deepcovid.heads import training
from stages.ladder import ladder_stage
from stages.train import train_stage
from tests.checkouts import edit_params, parameters
from tests.trained import random_weights

LENGTHS = {"resnet18": 8, "squeezenet1_1": 6}  # of the features, which tell the nets apart
PAPER, FAILED = (("resnet18", kind) for kind in ("adam", "sgd"))
SIDE = 64


def edit(values):
    values["models"], values["replays"] = ["resnet18"], []
    values["recipes"] = ["paper", "failed-reproduction"]
    for name in values["recipes"]:
        values["recipe"][name]["epochs"] = 3
    values["dataset"]["phantom"] |= {"seeds": 2, "resplits": 2, "image_size": SIDE}


def write_features(net, seed):
    folder, rng = Path("data/phantom/features") / net, np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", rng.normal(size=(60, LENGTHS[net])).astype(np.float32))
    np.save(folder / "spare.npy", np.empty((0, LENGTHS[net]), np.float32))


@pytest.fixture
def trained(checkout, monkeypatch):
    """A function that runs the stage and returns which heads it trained: nets, and optimisers of the recipes."""
    edit_params(checkout, edit)
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("DEEPCOVID_WORKERS", "1")  # so that this process trains
    rows = pd.DataFrame({"label": np.tile(["covid", "non", "non"], 20), "split": np.repeat(["train", "test"], 30)})
    rows["image_id"] = [f"image {number}" for number in rows.index]
    rows = rows.assign(archive="images.zip", member=rows["image_id"], patient_id=rows["image_id"])
    Path("data/phantom/spare").mkdir(parents=True)
    catalogue.write(Path("data/phantom/images.csv"), catalogue.checked(rows, "test"))
    np.save("data/phantom/pixels.npy", np.zeros((60, SIDE, SIDE, 1), np.uint8))
    rows[:0].assign(augmentation_of="").to_csv("data/phantom/spare/images.csv", index=False)
    for seed, net in enumerate(LENGTHS):
        random_weights(Path(f"data/phantom/weights/{net}.safetensors"), net)
        write_features(net, seed)
    train, nets, found = training.train, {length: net for net, length in LENGTHS.items()}, set()

    def noted(data, test, recipes, *others, **options):
        found.update((nets[data.features.shape[1]], recipe.optimiser.kind) for recipe in recipes)
        return train(data, test, recipes, *others, **options)

    monkeypatch.setattr(training, "train", noted)

    def run(stage=train_stage):
        found.clear()
        stage(parameters(), "phantom")
        return set(found)

    return run


def outputs():
    folders = ["data/phantom/heads", "data/phantom/scores", "data/phantom/training", "results/phantom/resplit"]
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {path: sha256_of(path) for path in files}


def test_nothing_is_trained_twice_and_the_files_are_the_same(trained):
    assert trained() == {PAPER, FAILED}
    before = outputs()
    assert len(before) == 2 * 4 + 2
    assert trained() == set()
    assert outputs() == before


def test_a_changed_recipe_trains_its_heads_alone_and_they_are_those_of_a_fresh_start(trained, checkout):
    trained()
    edit_params(checkout, lambda values: values["recipe"]["failed-reproduction"].update(augmented=True, epochs=2))
    assert trained() == {FAILED}
    after = outputs()
    for path in Path("data/phantom").glob("remembered/**/output.pkl"):
        path.unlink()
    assert trained() == {PAPER, FAILED}
    assert outputs() == after


def test_a_net_more_trains_its_heads_alone(trained, checkout):
    trained()
    before = outputs()
    edit_params(checkout, lambda values: values.update(models=list(LENGTHS)))
    assert trained() == {("squeezenet1_1", "adam"), ("squeezenet1_1", "sgd")}
    assert before.items() < outputs().items()


def test_on_other_splits_only_nets_are_trained_that_are_named_for_it(trained, checkout):
    edit_params(checkout, lambda values: values.update(models=list(LENGTHS)))
    Path("data/phantom/features/squeezenet1_1/spare.npy").unlink()
    trained()
    written = {path.parent.name: {file.name for file in path.parent.iterdir()} for path in Path().rglob("halves.csv")}
    assert written == {"resnet18": {"halves.csv", "splits.csv"}, "squeezenet1_1": {"halves.csv"}}


def test_without_other_splits_heads_are_the_same(trained, checkout):
    trained()
    before = outputs()
    edit_params(checkout, lambda values: values["dataset"]["phantom"].update(resplits=0))
    Path("data/phantom/features/resnet18/spare.npy").unlink()
    assert trained() == set()
    assert set(before) - set(outputs()) == {Path("results/phantom/resplit/resnet18/splits.csv")}
    assert outputs().items() < before.items()


def test_a_net_that_is_named_for_other_splits_later_is_trained_on_these_alone(trained, checkout):
    edit_params(checkout, lambda values: values.update(models=list(LENGTHS)))
    trained()
    before = list(Path("data/phantom").glob("remembered/**/output.pkl"))
    edit_params(checkout, lambda values: values.update(audited_models=list(LENGTHS)))
    assert {net for net, _ in trained()} == {"squeezenet1_1"}
    assert len(list(Path("data/phantom").glob("remembered/**/output.pkl"))) == len(before) + 2  # of the two recipes


def test_other_features_train_their_nets_heads_again(trained, checkout):
    edit_params(checkout, lambda values: values.update(models=list(LENGTHS)))
    trained()
    write_features("resnet18", 5)
    assert trained() == {PAPER, FAILED}


def test_other_seeds_train_all_heads_again(trained, checkout):
    trained()
    edit_params(checkout, lambda values: values["dataset"]["phantom"].update(seeds=3))
    assert trained() == {PAPER, FAILED}


def test_another_cut_off_trains_nothing(trained, checkout):
    trained()
    edit_params(checkout, lambda values: values["recipe"]["paper"].update(cut_off=0.3))
    assert trained() == set()


def test_the_ladder_is_climbed_once_on_the_same_features(trained):
    assert trained(ladder_stage) == {PAPER, FAILED}
    before = sha256_of(Path("results/phantom/ladder.json"))
    assert trained(ladder_stage) == set()
    assert sha256_of(Path("results/phantom/ladder.json")) == before
    write_features("resnet18", 5)
    assert trained(ladder_stage) == {PAPER, FAILED}
    assert sha256_of(Path("results/phantom/ladder.json")) != before
