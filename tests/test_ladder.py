"""The ladder: its rungs, its table, and the sentence that is computed from it."""

from itertools import chain, combinations, pairwise, permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from statsmodels.stats.weightstats import DescrStatsW

from deepcovid.heads import training
from deepcovid.heads.scoring import score
from deepcovid.heads.sweep import train_and_score
from deepcovid.ladder.effects import effects
from deepcovid.ladder.measuring import apart, drawn, measured, of_heads, over_seeds, rows
from deepcovid.ladder.rungs import differences, rungs, subsets
from deepcovid.nets.zoo import NETS
from deepcovid.parameters import validate
from deepcovid.report.sentences import finding, what_detects
from deepcovid.settings.analyses import Detection, EvaluateSettings, LadderSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.rates import rates

SWITCHES = set(Recipe.model_fields)
SAMPLES = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=1)


@pytest.fixture
def settings(params):
    return validate(params, "params.yaml", NETS)


def test_a_ladder_leads_from_bottom_to_top_and_back_a_switch_at_a_time(settings):
    recipes = settings.recipe
    whole = [recipe for recipe in recipes.values() if recipe.whole_net]
    chosen = rungs(settings.ladder, recipes, whole)
    bottom, top = recipes[settings.ladder.bottom], recipes[settings.ladder.top]
    for direction, start, end in (("up", bottom, top), ("down", top, bottom)):
        path = [rung for rung in chosen if rung.direction == direction]
        assert [path[0].recipe, path[-1].recipe] == [start, end]
        assert path[0].flipped == ()
        for below, rung in pairwise(path):
            assert rung.flipped == differences(below.recipe, rung.recipe)
            assert rung.flipped
        assert len(path) == 9
    asides = [rung for rung in chosen if rung.direction == "aside"]
    assert [rung.recipe for rung in asides] == [recipes[name] for name in settings.ladder.asides]
    foot = chosen[0].recipe
    assert all(rung.flipped == differences(foot, rung.recipe) for rung in asides)


def test_a_net_that_was_not_replayed_starts_at_the_frozen_failure(settings):
    chosen = rungs(settings.ladder, settings.recipe, [])
    assert not any(rung.recipe.whole_net for rung in chosen)
    assert chosen[0].label(settings.recipe) == "failed-reproduction"
    named = {name: settings.recipe[name] for name in (settings.ladder.bottom, settings.ladder.top)}
    assert chosen[0].label(named) == "failed-reproduction-replayed, frozen"
    assert chosen[0].flipped == ()
    assert [rung.label(settings.recipe) for rung in chosen[1:3]] == ["augmented: yes", "schedule: constant"]


def test_two_flips_show_together_where_the_rung_between_was_not_run(settings):
    bottom = settings.recipe[settings.ladder.bottom]
    second = rungs(settings.ladder, settings.recipe, [bottom])[1]
    assert second.label(settings.recipe) == "random_crop: no, batch_norm: evaluation"


def test_switches_that_do_not_differ_have_no_rung_and_those_not_named_come_last(params):
    params["recipe"]["paper"] |= {"epochs": 150, "batch_size": 10}
    params["ladder"]["up"] = ["random_crop", "batch_norm", "augmented"]
    settings = validate(params, "params.yaml", NETS)
    up = [rung for rung in rungs(settings.ladder, settings.recipe, []) if rung.direction == "up"]
    flips = [switch for rung in up for switch in rung.flipped]
    assert flips[0] == "augmented"
    assert "batch_size" in flips
    assert "epochs" not in flips
    assert up[-1].recipe == settings.recipe["paper"]


def test_every_combination_is_tried_once_and_none_needs_the_whole_net(settings):
    tried = subsets(settings.ladder, settings.recipe)
    bottom, top = settings.recipe["failed-reproduction"], settings.recipe["paper"]
    assert tried[()] == bottom
    flipped = "augmented", "schedule", "optimiser", "epochs", "selection", "cut_off"
    assert tried[flipped] == top
    assert tried[*flipped, "sampling"] == top.changed({"sampling": "balanced"})
    assert len(set(tried.values())) == len(tried) == 2 ** (len(differences(bottom, top)) + 1)
    for subset, recipe in tried.items():
        assert set(differences(bottom, recipe)) == set(subset)
    assert [len(subset) for subset in tried] == sorted(len(subset) for subset in tried)


def test_heads_of_many_recipes_are_those_that_the_train_stage_makes(settings):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {"label": rng.choice(["covid", "non"], 60), "split": ["train"] * 40 + ["test"] * 20, "augmentation_of": ""}
    )
    table.loc[:9, "augmentation_of"] = "original"
    features = rng.standard_normal((60, 5)).astype(np.float32)
    small = [recipe.model_copy(update={"epochs": 3}) for recipe in settings.recipe.values() if not recipe.whole_net]
    scores = train_and_score(features, table, small, [3, 4])
    assert set(scores) == {recipe.without_cut_off() for recipe in small}
    for recipe in small:
        used = slice(0, 40) if recipe.augmented else slice(10, 40)
        train, test = (training.Data.of(features[part], table["label"][part]) for part in (used, slice(40, 60)))
        (alone,) = training.train(train, test, [recipe], [3, 4])
        expected = score(features[40:], alone.weight, alone.bias)
        np.testing.assert_allclose(scores[recipe.without_cut_off()].to_numpy(), expected, atol=1e-6)
        assert list(scores[recipe.without_cut_off()]) == ["seed_3", "seed_4"]


def made_up(settings, detecting):
    """Return scores of every recipe of the ladder, separating if `detecting(recipe)`, else all below the cut-off."""
    rng = np.random.default_rng(0)
    positive = np.arange(40) < 10
    patients = pd.Series([f"patient {number // 2}" for number in range(40)])
    bootstrap = Bootstrap.over_patients(positive, patients, SAMPLES)
    chosen = [rung.recipe for rung in rungs(settings.ladder, settings.recipe, [])]
    scores = {}
    for recipe in [*chosen, *subsets(settings.ladder, settings.recipe).values()]:
        values = 0.9 * positive[:, None] if detecting(recipe) else np.zeros((40, 1))
        columns = [f"seed_{seed}" for seed in range(5)]
        scores[recipe.without_cut_off()] = pd.DataFrame(values + rng.uniform(0, 0.05, (40, 5)), columns=columns)
    return scores, bootstrap


@pytest.mark.parametrize(
    ("detecting", "smallest", "sentence"),
    [
        (
            lambda recipe: recipe.augmented,
            [["augmented"]],
            "every head of ResNet18 detects: augmented copies switched on. With",
        ),
        (
            lambda recipe: recipe.augmented or recipe.schedule.kind == "constant",
            [["augmented"], ["schedule"]],
            "detects: augmented copies switched on. Or: learning-rate schedule set to constant. With",
        ),
        (
            lambda recipe: recipe.augmented and recipe.optimiser.kind == "adam",
            [["augmented", "optimiser"]],
            "detects: augmented copies switched on and optimiser set to Adam. With",
        ),
        (lambda _: False, [], "No set of the 7 switches makes every head of ResNet18 detect on a frozen net."),
        (lambda _: True, [[]], "Every head of ResNet18 detects on a frozen net as it is: no switch has to be flipped."),
    ],
)
def test_the_smallest_sets_are_found_and_named(settings, detecting, smallest, sentence):
    part, combinations = measured(settings.ladder, settings.recipe, *made_up(settings, detecting), 21)
    assert part.smallest == smallest
    assert part.combinations == len(combinations) == 128
    text = " ".join(finding("ResNet18", part))
    assert sentence in text
    fails = part.smallest != [[]]
    wanted = "A head detects if it finds 50 % of the COVID-19 images, and clears 50 % of the others"
    assert what_detects(part.detection).startswith(wanted)
    counts = "all call every image alike and none detects" if fails else "none calls every image alike and 5 detect"
    assert f"the ladder starts from 5 heads, one a seed: {counts}." in text
    assert f"Of 128 combinations of the switches, {part.detecting} make every head detect." in text


def test_runs_on_the_whole_net_are_told_with_their_epochs_and_serve_every_cut_off(settings):
    scores, bootstrap = made_up(settings, lambda recipe: recipe.augmented)
    for recipe in (recipe for recipe in settings.recipe.values() if recipe.whole_net):
        good = 0.4 * bootstrap.positive[:, None] * recipe.augmented
        noise = np.random.default_rng(0).uniform(0, 0.05, (40, 4))
        columns = [f"seed_{seed}_run_{run}" for run in (0, 1) for seed in (0, 1)]
        scores[recipe.without_cut_off()] = pd.DataFrame(good + noise, columns=columns)
    part, _ = measured(settings.ladder, settings.recipe, scores, bootstrap, 21)
    by_name = {rung.rung: rung for rung in part.rungs.values() if rung.direction != "down"}
    bottom, released = by_name["failed-reproduction-replayed"], by_name["released-code-replayed"]
    assert (bottom.epochs, bottom.heads, bottom.seeds, bottom.net) == (21, 4, 2, "replayed")
    assert released.sensitivity.value == 1
    assert by_name["released-code-replayed-at-half"].sensitivity.value == 0
    text = " ".join(finding("ResNet18", part))
    heads = "has 4 heads (2 seeds in each of 2 runs): "
    assert f"ResNet18, failed reproduction, whole net, {heads}all call every image alike and none detects." in text
    assert f"ResNet18, released code, whole net, {heads}none calls every image alike and 4 detect." in text


def test_the_table_has_what_was_promised_of_each_rung(settings):
    part, _ = measured(settings.ladder, settings.recipe, *made_up(settings, lambda recipe: recipe.augmented), 21)
    for key, rung in part.rungs.items():
        assert key == f"{rung.direction}-{rung.step}"
        for own in (rung.auc, rung.sensitivity, rung.specificity, rung.predicted_positive, rung.collapsed):
            assert own.low <= own.value <= own.high
        assert rung.heads == rung.seeds == 5
        assert (rung.below is None) == (rung.flipped == [])
    half = Estimate(value=0.5, low=0.5, high=0.5)
    _, second = list(part.rungs.values())[:2]
    assert second.below.balanced_accuracy == half
    shares = pd.DataFrame(rows(part, 40))
    assert shares[["mean", "low", "high"]].stack().between(0, 1).all()
    assert set(shares["measure"]) == {"AUC", "sensitivity", "specificity", "predicted positive", "collapsed"}


def areas_of(table, positive):
    return [roc_auc_score(positive, table[name]) for name in table]


def test_an_interval_is_over_seeds_and_over_runs_where_a_net_ran_several_times(settings):
    positive, rng = np.arange(20) < 8, np.random.default_rng(1)

    def found(table):
        return of_heads(table, areas_of(table, positive), 0.5, positive, settings.ladder.detection)

    one = pd.DataFrame(rng.random((20, 3)), columns=[f"seed_{seed}_run_0" for seed in range(3)])
    two = one.join(one.rename(columns=lambda name: name.replace("run_0", "run_1")))
    by_seed, by_run = (over_seeds(found(table), 20)["auc"] for table in (one, two))
    assert by_seed.value == by_run.value
    low, high = DescrStatsW(areas_of(one, positive)).tconfint_mean()
    assert (by_seed.low, by_seed.high) == pytest.approx((max(low, 0), min(high, 1)), abs=1e-6)
    assert by_run.low == by_run.high  # both runs have the same mean


def test_a_rungs_difference_is_of_means_over_heads_on_the_same_samples_of_patients(settings):
    scores, bootstrap = made_up(settings, lambda recipe: recipe.augmented)
    rng, positive = np.random.default_rng(2), bootstrap.positive
    recipe = settings.recipe["paper"]
    other = recipe.changed({"augmented": False, "cut_off": 0.2})
    for one in (recipe, other):
        scores[one.without_cut_off()] = pd.DataFrame(rng.random((40, 3)), columns=["seed_0", "seed_1", "seed_2"])

    def reached(one, rows):
        heads = scores[one.without_cut_off()].to_numpy()[rows].T
        auc = np.mean([roc_auc_score(positive[rows], head) for head in heads])
        return auc, np.mean([balanced_accuracy_score(positive[rows], head >= one.cut_off) for head in heads])

    samples = [np.repeat(np.arange(40), sample.astype(int)) for sample in bootstrap.weights.T]
    expected = np.array([np.subtract(reached(recipe, rows), reached(other, rows)) for rows in samples])
    value = np.subtract(reached(recipe, np.arange(40)), reached(other, np.arange(40)))

    def own_draws(one):
        table = scores[one.without_cut_off()]
        heads = of_heads(table, areas_of(table, positive), one.cut_off, positive, settings.ladder.detection)
        return drawn(table, heads, one.cut_off, bootstrap)

    own = apart(own_draws(recipe), own_draws(other))
    for found, middle, draws in zip((own.auc, own.balanced_accuracy), value, expected.T, strict=True):
        assert found.value == pytest.approx(middle, abs=1e-6)
        assert (found.low, found.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_an_effect_is_the_mean_over_all_orders_and_the_effects_add_up(values):
    switches = ("a", "b", "c")
    sets = list(chain.from_iterable(combinations(switches, size) for size in range(4)))
    reached = dict(zip(sets, values, strict=True))
    found = effects(reached)
    for switch in switches:
        added = []
        for order in permutations(switches):
            before = tuple(sorted(order[: order.index(switch)]))
            added.append(reached[tuple(sorted((*before, switch)))] - reached[before])
        expected = (np.mean(added), min(added), max(added))
        assert (found[switch].mean, found[switch].min, found[switch].max) == pytest.approx(expected, abs=1e-6)
    assert sum(one.mean for one in found.values()) == pytest.approx(reached[switches] - reached[()], abs=1e-5)


@pytest.mark.parametrize(
    ("detects", "sentence"),
    [
        (
            True,
            "The authors' remedy, sampling set to balanced, is enough by itself: none of 5 heads calls every image",
        ),
        (False, "The authors' remedy, sampling set to balanced, is not enough by itself: all of 5 heads call every"),
    ],
)
def test_what_the_remedy_alone_does_is_said(settings, detects, sentence):
    found = made_up(settings, lambda recipe: detects and recipe.sampling == "balanced")
    part, table = measured(settings.ladder, settings.recipe, *found, 21)
    assert sentence in " ".join(finding("ResNet18", part))
    (row,) = [row for row in table if row["flipped"] == "sampling"]
    assert row["detecting"] == 5 * detects
    assert "sampling" not in part.effects


def test_a_head_detects_if_it_reaches_both_rates_at_its_recipes_cut_off():
    positive = np.array([True, True, False, False])
    scores = pd.DataFrame({"seed_0": [0.9, 0.1, 0.1, 0.1], "seed_1": [0.9, 0.9, 0.9, 0.9], "seed_2": [0.1] * 4})
    areas = [0.75, 0.5, 0.5]
    table = of_heads(scores, areas, 0.5, positive, Detection(sensitivity=0.5, specificity=0.5))
    assert table["auc"].tolist() == areas
    assert table["detects"].tolist() == [1, 0, 0]
    assert table["collapsed"].tolist() == [0, 1, 1]
    expected = [rates(positive, scores[name].to_numpy(), 0.5).sensitivity for name in scores]
    assert table["sensitivity"].tolist() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"up": ["augmented", "learning_speed"]}, "ladder.up names learning_speed; known are optimiser, learning_rate"),
        ({"top": "released-code-replayed"}, "ladder.top names released-code-replayed, which needs the whole net"),
        ({"bottom": "none"}, "ladder.bottom names none"),
        ({"asides": ["nothing"]}, "ladder.asides names nothing"),
    ],
)
def test_a_wrong_ladder_is_an_error_that_names_what_is_known(params, refused, change, message):
    params["ladder"] |= change
    with refused("params.yaml", message):
        validate(params, "params.yaml", NETS)


def test_a_recipe_is_run_where_it_can_be(params, refused):
    params["recipes"] = ["failed-reproduction-replayed"]
    with refused("recipes names failed-reproduction-replayed", "name it in replays"):
        validate(params, "params.yaml", NETS)


@pytest.mark.parametrize(
    ("seeds", "message"), [([7], "ladder_seeds: write 2 to 1000 seeds"), ([7, 7], "may be named once")]
)
def test_intervals_need_two_seeds_and_seeds_are_distinct(params, refused, seeds, message):
    params["dataset"]["phantom"]["ladder_seeds"] = seeds
    with refused("dataset.phantom.ladder_seeds", message):
        validate(params, "params.yaml", NETS)


def test_the_switches_of_the_ladder_are_the_keys_of_a_recipe():
    assert {"optimiser", "schedule", "learning_rate", "augmented", "random_crop", "batch_norm"} <= SWITCHES
    assert {"selection", "cut_off", "epochs"} <= SWITCHES
    assert set(LadderSettings.model_fields) == {"bottom", "top", "up", "asides", "remedies", "detection"}
