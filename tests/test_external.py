import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from hypothesis import given
from PIL import Image
from sklearn.metrics import brier_score_loss, roc_auc_score

from deepcovid import catalogue
from deepcovid.audits.external import Collections, External, Outside
from deepcovid.audits.parts import across, contrasts, parts_of
from deepcovid.audits.unseen import LeftOut, candidates, check_images, left_out, trained_on
from deepcovid.files import sha256_of
from deepcovid.heads.scoring import score, score_table
from deepcovid.nets.trunks import write_state
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Estimate, Headline, read_result
from deepcovid.statistics.rates import evaluate
from deepcovid.statistics.review import Review
from deepcovid.statistics.runs import Run
from stages import paths
from stages._external import external
from stages.download import download
from stages.evaluate import write_elsewhere
from stages.external_features import external_features
from stages.runs import read_score_table
from stages.split import split
from tests.checkouts import edit_params, parameters, run, smaller
from tests.strategies import catalogues
from tests.trained import FEATURES, MODEL, random_head, trained_folder


def rows(*images):
    """A catalogue of images given as dicts; each has names of its own where none are given."""
    table = pd.DataFrame(images)
    table["image_id"] = [f"image {number}" for number in table.index]
    return catalogue.checked(table.assign(archive="images.zip", member=table["image_id"]).fillna(""), "test")


def test_an_image_is_left_out_for_each_reason_and_counted_once():
    test = rows(
        {"label": "covid", "patient_id": "p1", "source_image": "a.png", "sha256": "1"},
        {"label": "covid", "patient_id": "p2", "source_image": "b.png", "sha256": "2"},
        {"label": "covid", "patient_id": "p3", "source_image": "c.png", "sha256": "3"},
        {"label": "covid", "patient_id": "p4", "source_image": "d.png", "sha256": "4"},
        {"label": "non", "patient_id": "p5", "source_image": "e.png", "sha256": "5"},
    )
    train = rows(
        {"label": "non", "patient_id": "p1", "source_image": "x.png", "sha256": "9"},
        {"label": "non", "patient_id": "q2", "source_image": "b.png", "sha256": "8"},
        {"label": "non", "patient_id": "q3", "source_image": "y.png", "sha256": "3"},
        {"label": "non", "patient_id": "p4", "source_image": "d.png", "sha256": "4"},
    )
    seen = trained_on(test, train)
    assert seen["same_patient"].tolist() == [True, False, False, True, False]
    assert seen["same_image"].tolist() == [False, True, True, True, False]
    assert left_out(seen) == LeftOut(images=4, same_patient=2, same_image=3)


def test_blanks_match_nothing():
    table = rows({"label": "covid"}, {"label": "non"})
    assert not trained_on(table, table).any(axis=None)


@given(test=catalogues(), train=catalogues())
def test_no_patient_of_the_training_images_is_left(test, train):
    seen = trained_on(test, train)
    left = test[~seen.any(axis=1)]
    assert not set(left["patient_id"]) & set(train["patient_id"]) - {""}
    assert len(left) + left_out(seen).images == len(test)
    unknown = test[test["patient_id"] == ""]
    assert set(unknown["image_id"]) <= set(left["image_id"])


def test_too_few_images_are_refused_with_how_many_were_left_out(refused):
    both = rows({"label": "covid"}, {"label": "non"})
    counts = LeftOut(images=3, same_patient=3, same_image=0)
    check_images(both, counts, "--images folder")
    with refused("--images folder: no test image", "without the 3 that the heads were trained on"):
        check_images(both[:0], counts, "--images folder")
    with refused("--images folder: 1 test images", "every one non", "images of both classes"):
        check_images(both[1:], counts, "--images folder")


def own_test(images=12):
    """The catalogue of a data set's own test images, a third of them covid."""
    labels = [catalogue.LABELS[bool(number % 3)] for number in range(images)]
    table = rows(*({"label": label, "patient_id": f"own {n}", "split": "test"} for n, label in enumerate(labels)))
    return table.assign(image_id="own " + table["image_id"])


def own_scores(images=12):
    """Scores of these images by two heads."""
    table = own_test(images)
    return score_table(table, np.random.default_rng(1).uniform(size=(images, 2)), ["seed_4", "seed_0"])


@pytest.fixture
def trained(checkout, monkeypatch):
    """A checkout with heads of phantom on a random net, and images called cohen, a train and a copied row among them.

    Of its ten test images one is of a patient in phantom's training images.
    """

    def edit(values):
        values["models"], values["recipes"], values["replays"] = [MODEL], ["paper"], []
        values["test_sets"] = ["cohen"]
        values["dataset"]["phantom"]["image_size"] = 224
        values["features"] |= {"device": "cpu", "batch_size": 3}
        values["evaluate"]["bootstrap_samples"] = 100

    edit_params(checkout, edit)
    monkeypatch.chdir(checkout)
    phantom, cohen = (checkout / "data" / name for name in ("phantom", "cohen"))
    trained_folder(checkout)
    cohen.mkdir()
    seen = rows({"label": "covid", "split": "train", "patient_id": "p3"})
    catalogue.write(phantom / "images.csv", pd.concat([seen, own_test()]))
    table = rows(
        {"label": "covid", "split": "train", "patient_id": "p90"},
        *({"label": catalogue.LABELS[n % 2], "split": "test", "patient_id": f"p{n}"} for n in range(10)),
        {"label": "covid", "split": "test", "patient_id": "p2", "augmentation_of": "image 3"},
    )
    catalogue.write(cohen / "images.csv", table)
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (12, 224, 224, 1), dtype=np.uint8)
    pixels = pixels * rng.uniform(0.1, 1, (12, 1, 1, 1))  # of different brightness, so that scores differ
    np.save(cohen / "pixels.npy", pixels.astype(np.uint8))
    return checkout


def measured(images="cohen"):
    """What the heads reach on the test set, and what they reach at home."""
    at_home = Run(MODEL, "paper", 0.5, own_scores())
    settings = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=0)
    inside = evaluate(at_home.heads.to_numpy(), Bootstrap.of(at_home.scores, settings), 0.5)
    own = "phantom", catalogue.read(paths.data("phantom", "images.csv"))
    return external(parameters(), own, images, {f"{MODEL}-paper": at_home}, {f"{MODEL}-paper": inside})


def run_both():
    """Run the stage that runs nets, then test heads."""
    external_features(parameters(), "phantom", "cohen")
    return measured()


def expected_scores(folder, tested):
    """P(covid) of the shown head by torchvision's own transform and net; features of SqueezeNet are channel means."""
    pixels = np.load(folder / "data/cohen/pixels.npy")[tested]
    torch.manual_seed(0)
    net = torchvision.models.get_model(MODEL).eval()
    normalise = torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    images = torch.stack([normalise(torch.tensor(image).permute(2, 0, 1).expand(3, -1, -1) / 255) for image in pixels])
    with torch.inference_mode():
        features = net.features(images).mean((2, 3))
    head = random_head()
    weight, bias = (torch.tensor(part[1]) for part in (head.weight, head.bias))
    return (features @ weight + bias).softmax(1)[:, 0].double().numpy()


def test_the_area_is_measured_within_each_view_that_has_enough_images():
    views = ["AP"] * 12 + ["AP Supine"] * 12 + ["PA"] * 40 + ["L"] * 12 + [""] * 40
    table = pd.DataFrame({"view": views, "patient_id": [f"p{number}" for number in range(len(views))]})
    table["label"] = np.where(np.arange(len(views)) % 2 == 0, "covid", "non")
    scores = np.random.default_rng(0).uniform(size=(len(views), 2))
    settings = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=0)
    table = table.assign(finding="", image_id=table["patient_id"])
    unknown, nobody = Estimate(value=0.5, low=0.4, high=0.6), np.zeros(len(table), bool)
    outside = Outside(table, own_scores().assign(finding=""), nobody, settings)
    found = outside.reached(scores, np.zeros(12), 1, 0.5, 5, unknown, unknown).parts
    views = {name for name in found if name.startswith("within")}
    assert views == {"within AP alone", "within PA alone"}  # of L there are six of each class, and a blank is no view
    lying, covid, own = table["view"].isin(["AP", "AP Supine"]), table["label"] == "covid", found["within AP alone"]
    assert (own.images, own.others) == (12, 12)
    assert own.called == (scores[lying & covid, 1] >= 0.5).sum()
    assert own.others_called == (scores[lying & ~covid, 1] >= 0.5).sum()
    expected = roc_auc_score(covid[lying], scores[lying, 1])
    assert own.auc.value == pytest.approx(expected)
    assert own.auc.low <= expected <= own.auc.high


def test_parts_are_by_finding_and_by_where_else_an_image_is_and_groups_across_are_alike():
    table = rows(
        {"label": "covid", "finding": "COVID-19"},
        {"label": "covid", "finding": "COVID-19", "view": "PA"},
        {"label": "non", "finding": "No Finding"},
        {"label": "non", "finding": "Pneumonia"},
        {"label": "non", "finding": "Fracture"},
    )
    found = parts_of(table, np.array([True, False, False, False, False]))
    assert {
        name: (np.flatnonzero(first).tolist(), np.flatnonzero(second).tolist())
        for name, (first, second) in found.items()
    } == {
        "within PA alone": ([1], []),
        "COVID-19 against no finding": ([0, 1], [2]),
        "COVID-19 against other findings": ([0, 1], [3, 4]),
        "COVID-19 images that are in the heads' own test too": ([0], [2, 3, 4]),
        "COVID-19 images that are not": ([1], [2, 3, 4]),
    }
    both = across(pd.concat([table, table]), np.arange(10) < 5)
    assert {
        name: (np.flatnonzero(first).tolist(), np.flatnonzero(second).tolist())
        for name, (first, second) in both.items()
    } == {
        "no finding there against no finding here": ([2], [7]),
        "COVID-19 there against similar findings here": ([0, 1], [8]),
    }


def test_groups_of_few_patients_are_not_compared():
    many = rows(*({"label": catalogue.LABELS[n % 2], "patient_id": f"p{n // 2}{n % 2}"} for n in range(20)))
    covid, settings = catalogue.covid(many).to_numpy(), EvaluateSettings(bootstrap_samples=100, bootstrap_seed=0)
    assert list(contrasts({"all": (covid, ~covid)}, many, settings)) == ["all"]
    same = many.assign(patient_id=many["patient_id"].replace("p00", "p10"))
    assert contrasts({"all": (covid, ~covid)}, same, settings) == {}


def test_the_area_of_telling_the_collections_is_of_images_without_covid():
    """Elsewhere all scores are higher, covid or not: the head sees where an image comes from and nothing else."""
    table = rows(*({"label": catalogue.LABELS[n % 2], "patient_id": f"p{n}"} for n in range(40)))
    own, as_at_home = own_scores(30), np.random.default_rng(0).uniform(size=(40, 2))
    scores = 0.7 + 0.3 * as_at_home
    settings = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=0)
    collections, at_home = Collections(table, own, settings), own["seed_4"].to_numpy()
    found, alike = (collections.told_apart(part[:, 0], at_home) for part in (scores, as_at_home))
    covid = own["label"] == "covid"
    here, there = own["seed_4"][~covid], scores[table["label"] == "non", 0]
    expected = np.mean([[(one > other) + (one == other) / 2 for other in here] for one in there])
    assert found.value == pytest.approx(expected)
    assert found.value > 0.8
    assert found.low < found.value < found.high
    assert alike.low < 0.5 < alike.high


def test_the_stage_scores_the_other_sets_test_images_that_training_did_not_see(trained):
    write_elsewhere("phantom", {"cohen": run_both()})
    found = read_result(trained / "results/phantom/external/cohen.json", External)
    assert (found.heads, found.images, found.recipe) == ("phantom", "cohen", "paper")
    assert found.left_out == LeftOut(images=1, same_patient=1, same_image=0)
    tested_on = found.nets[MODEL]["paper"]
    own, calibration = tested_on.run, tested_on.calibration
    tested = [number for number in range(1, 11) if number != 4]  # row 4 is of patient p3
    positive, score = np.array([number % 2 == 1 for number in tested]), expected_scores(trained, tested)
    assert own.n_test == Counts(covid=5, non=4)
    assert own.auc.value == pytest.approx(roc_auc_score(positive, score), abs=1e-6)
    assert own.cut_off == 0.3  # of the heads' file, not of params.yaml
    assert own.sensitivity.value == pytest.approx((score[positive] >= 0.3).mean(), abs=1e-6)
    assert own.specificity.value == pytest.approx((score[~positive] < 0.3).mean(), abs=1e-6)
    assert calibration.brier.value == pytest.approx(brier_score_loss(positive, score), abs=1e-5)
    assert sum(part.images for part in calibration.bins.values()) == 9
    assert own.over_seeds.heads == 2
    at_home = own_scores()
    areas = {head: roc_auc_score(at_home["label"] == "covid", at_home[head]) for head in ("seed_4", "seed_0")}
    median = min(areas, key=areas.get)  # of two, the lower
    assert tested_on.inside.value == pytest.approx(areas[median], abs=1e-6)
    others = at_home.loc[at_home["label"] == "non", median]
    elsewhere = np.repeat([True, False], [(~positive).sum(), len(others)])
    expected = roc_auc_score(elsewhere, np.concatenate([score[~positive], others]))
    assert tested_on.collection.value == pytest.approx(expected, abs=1e-6)
    asked = read_result(trained / "results/phantom/external/cohen/review.json", Review)
    assert {name: own.images for name, own in asked.who.items()} == {"cohen, COVID-19": 5, "cohen, others": 4}
    assert asked.cut_off == 0.3
    assert asked.nets[MODEL].recalibration.tested == pytest.approx(5 / 9, abs=1e-6)
    table = read_score_table(trained / f"results/phantom/external/cohen/{MODEL}.csv", "cohen")
    assert list(table["label"] == "covid") == list(positive)
    assert table[median].to_numpy() == pytest.approx(score, rel=1e-5)
    headline = read_result(trained / f"metrics/audits/phantom/on/cohen/{MODEL}.json", Headline)
    assert headline == found.headline()[MODEL]
    assert (headline.auc, headline.tp) == (own.auc.value, own.confusion.tp)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 32])
def test_scores_do_not_depend_on_which_images_are_in_a_batch(trained, batch_size):
    """Features are kept of images that one data set's heads were trained on, too, and in batches of any size."""
    edit_params(trained, lambda values: values["features"].update(batch_size=batch_size))
    external_features(parameters(), "phantom", "cohen")
    features = np.load(trained / f"data/phantom/external/cohen/{MODEL}.npy")
    assert len(features) == 10  # the training image and the copy are left out
    head = random_head()
    expected = expected_scores(trained, list(range(1, 11)))
    assert score(features, head.weight, head.bias)[:, 1] == pytest.approx(expected, abs=1e-5)


def test_images_of_another_size_are_resized_to_that_of_the_heads(trained):
    """As Pillow, by which decoding resizes, does it to a grey level or so; training and tests see one size."""
    path = trained / "data/cohen/pixels.npy"
    small = np.load(path)[:, :96, :96]
    np.save(path, small)
    external_features(parameters(), "phantom", "cohen")
    found = np.load(trained / f"data/phantom/external/cohen/{MODEL}.npy")
    resize = torchvision.transforms.Resize(224)
    np.save(path, np.stack([np.asarray(resize(Image.fromarray(image[..., 0])))[..., None] for image in small]))
    external_features(parameters(), "phantom", "cohen")
    expected = np.load(trained / f"data/phantom/external/cohen/{MODEL}.npy")
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


def test_other_heads_are_tested_without_running_a_net(trained, monkeypatch):
    before = run_both().external
    trained_folder(trained, bias=random_head().bias + np.float32([[1, 0]]))
    monkeypatch.delattr("torch.nn.Module.__call__")
    after = measured().external
    assert after.nets[MODEL]["paper"].calibration != before.nets[MODEL]["paper"].calibration
    assert after.nets[MODEL]["paper"].run.auc.value == before.nets[MODEL]["paper"].run.auc.value  # all scores rose


def test_the_stage_refuses_features_of_other_test_images(trained, refused):
    external_features(parameters(), "phantom", "cohen")
    path = trained / f"data/phantom/external/cohen/{MODEL}.npy"
    np.save(path, np.load(path)[:9])
    with refused(f"external/cohen/{MODEL}.npy: float32 (9 x {FEATURES}) instead of float32 (10 x any)", "dvc repro"):
        measured()


def test_the_stage_refuses_heads_on_other_weights_and_names_both_hashes(trained, refused):
    weights = trained / f"data/phantom/weights/{MODEL}.safetensors"
    before = sha256_of(weights)
    write_state(weights, MODEL, torchvision.models.get_model(MODEL).state_dict())
    with refused(f"heads/frozen/{MODEL}/paper.safetensors", before, sha256_of(weights)):
        run_both()


def test_the_stage_refuses_heads_of_another_feature_size_and_names_their_file(trained, refused):
    trained_folder(trained, features=3)
    with refused(f"heads/frozen/{MODEL}/paper.safetensors: a head for 3 features cannot score {FEATURES}"):
        run_both()
    assert not (trained / "metrics").exists()


@pytest.mark.parametrize("rows", [0, 11, 13])
def test_the_stage_refuses_pixels_of_another_table(trained, refused, rows):
    np.save(trained / "data/cohen/pixels.npy", np.zeros((rows, 224, 224, 1), np.uint8))
    with refused(f"data/cohen/pixels.npy: uint8 ({rows} x ", "a row for each of data/cohen/images.csv", "dvc repro"):
        external_features(parameters(), "phantom", "cohen")
    assert not (trained / "data/phantom/external").exists()


def test_the_stage_refuses_images_that_are_all_trained_on(trained, refused):
    path = trained / "data/phantom/images.csv"
    table = pd.concat([catalogue.read(trained / "data/cohen/images.csv")]).assign(split="train")
    catalogue.write(path, table)
    external_features(parameters(), "phantom", "cohen")
    with refused("test_sets: cohen: no test image, without the 10 that the heads were trained on"):
        measured()


@pytest.mark.pipeline
def test_a_test_set_of_the_training_patients_is_refused(trained, refused):
    """Phantoms of the training's own seed are the same patients; of another seed they are others."""

    def edit(values):
        smaller(values)
        values["models"], values["recipes"], values["replays"] = [MODEL], ["paper"], []
        values["test_sets"] = ["phantom-external"]
        values["dataset"]["phantom"]["source"]["height"] = 64
        values["dataset"]["phantom"]["source"]["images"]["train"] |= {"covid": 12, "normal": 12}
        values["dataset"]["phantom"]["split"] |= {"covid": {"train": 12, "test": 6}, "non": {"train": 18, "test": 9}}

    edit_params(trained, edit)
    seen = {}
    for seed in (2021, 2020):
        edit_params(trained, lambda values: values["dataset"]["phantom-external"]["source"].update(seed=seed))  # noqa: B023
        for dataset in ("phantom", "phantom-external"):
            download(parameters(dataset), dataset)
            split(parameters(dataset), dataset)
            table = catalogue.read(paths.data(dataset, "split.csv"))
            catalogue.write(paths.data(dataset, "images.csv"), table)
        others = paths.external_features("phantom", "phantom-external")
        catalogue.write(others / "images.csv", candidates(table))
        train, test = (catalogue.read(paths.data(name, "images.csv")) for name in ("phantom", "phantom-external"))
        seen[seed] = trained_on(test, train[train["split"] == "train"])
    assert left_out(seen[2021]).images == 0
    assert left_out(seen[2020]).same_patient == len(seen[2020]) == 7
    with refused(
        "test_sets: phantom-external: no test image, without the 7 that the heads were trained on; "
        "name a data set with other images"
    ):
        measured("phantom-external")


def test_a_test_set_without_a_test_image_is_refused(trained, refused):
    path = trained / "data/cohen/images.csv"
    catalogue.write(path, catalogue.read(path).assign(split="train"))
    with refused("--images cohen: no test image", "other images"):
        external_features(parameters(), "phantom", "cohen")


@pytest.mark.pipeline
def test_the_option_images_takes_a_test_set(trained):
    assert run([sys.executable, "-m", "stages.resolve"], trained).returncode == 0
    options = ["--dataset", "phantom", "--images", "cohort"]
    result = run([sys.executable, "-m", "stages.external_features", *options], trained)
    assert (result.returncode, result.stderr) == (1, "error: --images cohort: not known; known are cohen\n")
    shown = " ".join(run([sys.executable, "-m", "stages.external_features", "--help"], trained).stdout.split())
    assert "a name from params.yaml, `dataset`" in shown
    assert "--dataset phantom --images cohen" in shown
