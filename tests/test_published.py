import pytest
from ruamel.yaml import YAML

from deepcovid.statistics.counts import Counts
from deepcovid.statistics.published import validate
from tests.checkouts import ROOT
from tests.test_settings import DELETED, changed

FILE = "reference/published.yaml"


@pytest.fixture
def values():
    """The repository's own published numbers as plain values, to be changed freely."""
    return YAML(typ="safe", pure=True).load(ROOT / FILE)


def test_the_repositorys_own_numbers_are_for_recipes_and_a_data_set_of_the_parameters(values, params):
    groups = validate(values, FILE).groups.values()
    recipes = [name for group in groups for name in group.recipes]
    assert {name.removesuffix("-replayed") for name in recipes} <= set(params["recipe"])
    assert len(recipes) == len(set(recipes))
    assert {group.dataset for group in groups} <= set(params["dataset"])


def test_the_failed_reproductions_numbers_agree_with_each_other(values):
    group = validate(values, FILE).groups["failed-reproduction"]
    numbers = {number.metric: number.value for number in group.numbers}
    tp, fp, fn, tn = (numbers[f"confusion.{cell}"] for cell in ("tp", "fp", "fn", "tn"))
    assert (tp + fn, fp + tn) == (group.test_images.covid, group.test_images.non)
    assert numbers["accuracy"] == pytest.approx((tp + tn) / (tp + fp + fn + tn), abs=5e-5)


def test_numbers_are_for_one_data_set_only(values):
    published = validate(values, FILE)
    assert set(published.of("covid-xray-5k")) == set(published.groups)
    assert published.of("phantom") == {}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("groups/paper/source", DELETED, "groups.paper.source: Field required"),
        ("groups/paper/source", "", "groups.paper.source: is blank; say what is meant"),
        ("groups/paper/source", "  ", "groups.paper.source: is blank; say what is meant"),
        ("groups/paper/numbers", [], "groups.paper.numbers: List should have at least 1 item"),
        ("groups/paper/recipes", [], "groups.paper.recipes: List should have at least 1 item"),
        ("groups/paper/colour", "red", "groups.paper.colour: no such key; known are source, dataset, recipes"),
        ("groups/released-figure/test_images/covid", 0, "groups.released-figure.test_images.covid: "),
        ("groups", DELETED, "groups: Field required"),
    ],
)
def test_a_wrong_group_is_named_by_its_path(values, refused, path, value, message):
    with refused(f"{FILE}: {message}"):
        validate(changed(values, path, value), FILE)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("value", "0.98", ".value: Input should be a valid number (got '0.98')"),
        ("value", DELETED, ".value: Field required"),
        ("value", float("nan"), ".value: Input should be a finite number"),
        ("value", -0.1, ".value: Input should be greater than or equal to 0 (got -0.1)"),
        ("value", True, ".value: Input should be a valid number"),
        ("value", 98, ": auc lies in 0..1, got 98; write 98 % as 0.98"),
        ("model", "densenet", ".model: no such net; known are resnet18, resnet50"),
        ("metric", "area", ".metric: Input should be 'auc', 'accuracy'"),
        ("name", "", ".name: is blank"),
        ("source", "a blog", ".source: no such key; known are name, value, metric"),
    ],
)
def test_a_wrong_number_is_named_by_its_path(values, refused, key, value, message):
    changed(values["groups"]["released-figure"]["numbers"][1], key, value)
    with refused(f"{FILE}: groups.released-figure.numbers.1{message}"):
        validate(values, FILE)


def test_a_count_that_is_no_whole_number_is_refused(values, refused):
    changed(values["groups"]["failed-reproduction"]["numbers"][2], "value", 0.5)
    with refused(f"{FILE}: groups.failed-reproduction.numbers.2: confusion.tp counts images; 0.5 is no whole number"):
        validate(values, FILE)


def test_best_and_average_are_refused_where_there_is_no_interval_for_them(values, refused):
    changed(values["groups"]["failed-reproduction"]["numbers"][1], "model", "average")
    with refused("`average` over nets is known for auc and at_sensitivity_98.specificity, not accuracy"):
        validate(values, FILE)


def test_images_fit_where_the_counts_that_are_known_are_equal(values):
    groups = validate(values, FILE).groups
    assert groups["paper"].test_images.fit(Counts(covid=100, non=3000))
    assert not groups["paper"].test_images.fit(Counts(covid=100, non=200))
    assert groups["released-figure"].test_images.fit(Counts(covid=40, non=5))
    assert not groups["released-figure"].test_images.fit(Counts(covid=100, non=3000))


def test_two_numbers_of_one_metric_and_net_in_a_group_are_refused(values, refused):
    numbers = values["groups"]["paper"]["numbers"]
    numbers.append(numbers[0] | {"name": "the same again"})
    with refused(FILE, "groups.paper", "numbers holds 2 numbers of at_sensitivity_98.specificity for best"):
        validate(values, FILE)
