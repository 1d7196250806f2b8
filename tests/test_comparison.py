from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from deepcovid.report.sentences import claim_sentences
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.comparison import AgainstPublished, OverHeads, beside_published, measure
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.intervals import bootstrap_p_value
from deepcovid.statistics.paired import between_nets
from deepcovid.statistics.published import Group
from deepcovid.statistics.rates import evaluate
from deepcovid.statistics.runs import Run

BOOTSTRAP = EvaluateSettings(bootstrap_samples=500, bootstrap_seed=3)
POSITIVE = np.arange(120) < 40
PATIENT = pd.Series([f"patient {number // 2}" for number in range(120)])


def run(model, strength, recipe="paper", seeds=3, cut_off=0.5):
    """A run whose scores tell the classes the better, the greater `strength`."""
    rng = np.random.default_rng([sum(map(ord, model)), seeds])
    noise = rng.normal(size=(120, seeds))
    scores = 1 / (1 + np.exp(-(strength * (POSITIVE[:, None] - 0.5) + noise)))
    return run_of(model, pd.DataFrame(scores, columns=[f"seed_{seed}" for seed in range(seeds)]), recipe, cut_off)


def run_of(model, scores, recipe="paper", cut_off=0.5):
    """A run with `scores` of the images."""
    facts = pd.DataFrame({"image_id": range(120), "label": np.where(POSITIVE, "covid", "non"), "patient_id": PATIENT})
    return Run(model, recipe, cut_off, facts.join(scores))


ONE = run("resnet18", 1)


def pairs_of(measured):
    return list(between_nets(measured).pairs.values())


def measured(*runs):
    return measure_under(BOOTSTRAP, *runs)


def measure_under(settings, *runs):
    """Measure runs of the same images, brought to the order of the first."""
    images = runs[0].scores
    in_order = [run.in_the_order_of(images["image_id"]) for run in runs]
    return measure(in_order, [None] * len(runs), Bootstrap.of(images, settings))


def group(*numbers, recipes=("paper",), covid=40, non=80):
    """A published group of (metric, model, value)."""
    return Group.model_validate(
        {
            "source": "a test",
            "dataset": "covid-xray-5k",
            "recipes": list(recipes),
            "test_images": {"covid": covid, "non": non},
            "numbers": [{"name": m, "metric": m, "model": net, "value": value} for m, net, value in numbers],
        }
    )


def beside(runs, *numbers, **options):
    return beside_published(measured(*runs), {"test": group(*numbers, **options)})


def numbers_of(found):
    return list(found.numbers.values())


def test_ours_is_the_runs_own_metric_with_the_widest_of_its_intervals():
    one = run("resnet18", 2, seeds=4)
    bootstrap, positive = Bootstrap.of(one.scores, BOOTSTRAP), one.positive
    own = evaluate(one.heads.to_numpy(), bootstrap, 0.5)
    on_splits = pd.DataFrame({"auc": [0.2, 0.9, 0.8], "sensitivity": [0.81, 0.82, 0.83], "specificity": [0.7] * 3})
    group_of_three = group(*((name, "resnet18", 0.5) for name in on_splits))
    found = beside_published(measure([one], [on_splits], bootstrap), {"test": group_of_three})
    drawn = [np.repeat(np.arange(120), sample.astype(int)) for sample in bootstrap.weights.T]
    called = one.score >= 0.5
    expected = {
        "auc": [roc_auc_score(positive[rows], one.score[rows]) for rows in drawn],
        "sensitivity": [called[rows][positive[rows]].mean() for rows in drawn],
        "specificity": [1 - called[rows][~positive[rows]].mean() for rows in drawn],
    }
    for row in numbers_of(found):
        spread = getattr(own.over_seeds, row.metric)
        low, high = np.quantile(on_splits["auc"] if row.metric == "auc" else expected[row.metric], [0.025, 0.975])
        assert (row.ours.low, row.ours.high) == pytest.approx((low, high), abs=1e-6)
        inside = spread.min <= row.published <= spread.max
        assert row.over_heads == OverHeads(heads=4, min=spread.min, max=spread.max, inside=inside)
        assert row.difference == pytest.approx(row.ours.value - 0.5, abs=1e-6)
        assert found.numbers[f"test/{row.metric}/resnet18/paper"] is row
    assert [row.varies for row in numbers_of(found)] == ["splits", "patients", "patients"]


def test_a_count_has_the_interval_of_its_rate():
    found = beside(
        [run("resnet18", 2)],
        ("confusion.tp", "resnet18", 0),
        ("confusion.fn", "resnet18", 0),
        ("sensitivity", "resnet18", 0),
        ("accuracy", "resnet18", 0),
    )
    tp, fn, sensitivity, accuracy = (row.ours for row in numbers_of(found))
    assert (tp.low, tp.high) == pytest.approx((40 * sensitivity.low, 40 * sensitivity.high), abs=1e-4)
    assert (tp.low + fn.high, tp.high + fn.low) == pytest.approx((40, 40), abs=1e-4)
    assert tp.value == 40 * sensitivity.value
    assert accuracy.low < accuracy.value < accuracy.high


@given(value=st.floats(0, 1))
def test_inside_says_whether_the_published_value_is_in_our_interval_but_for_rounding(value):
    found = beside([ONE], ("auc", "resnet18", value))
    (row,) = numbers_of(found)
    assert row.inside == found.inside
    if min(abs(value - row.ours.low), abs(value - row.ours.high)) > 0.5 * 10**-row.decimals + 1e-6:
        assert row.inside == (row.ours.low <= value <= row.ours.high)


@pytest.mark.parametrize(
    ("published", "decimals", "inside"),
    [(0.6667, 4, True), (0.667, 3, True), (0.67, 2, True), (0.6668, 4, False), (0.7, 2, False), (1, 0, False)],
)
def test_a_number_is_compared_at_the_precision_at_which_it_was_published(published, decimals, inside):
    scores = pd.DataFrame(0.1, index=range(120), columns=["seed_0", "seed_1"])  # right for the 80 of 120 others
    found = beside([run_of("resnet18", scores)], ("accuracy", "resnet18", published))
    (row,) = numbers_of(found)
    assert (row.ours.low, row.ours.high) == pytest.approx((2 / 3, 2 / 3), abs=1e-6)
    assert (row.decimals, row.digits) == (decimals, max(3, decimals))
    assert (row.inside, row.over_heads.inside, found.inside) == (inside, inside, int(inside))


def test_a_count_is_shown_without_decimals():
    (row,) = numbers_of(beside([ONE], ("confusion.fp", "resnet18", 100)))
    assert (row.decimals, row.digits) == (0, 0)


def width(estimate):
    return estimate.high - estimate.low


def test_a_count_of_none_has_wilsons_interval_over_patients():
    nothing = run_of("resnet18", pd.DataFrame({"seed_0": np.full(120, 0.1)}))
    found = beside([nothing], ("confusion.tp", "resnet18", 0), ("confusion.fn", "resnet18", 40))
    low, high = proportion_confint(0, 20, method="wilson")  # forty images of twenty patients
    tp, fn = (row.ours for row in numbers_of(found))
    assert (tp.value, tp.low, tp.high) == pytest.approx((0, 40 * low, 40 * high), abs=1e-5)
    assert (fn.value, fn.low, fn.high) == pytest.approx((40, 40 - 40 * high, 40 - 40 * low), abs=1e-5)


def test_of_a_confusion_matrix_two_numbers_are_counted():
    matrix = [(f"confusion.{cell}", "resnet18", 20) for cell in ("tp", "fp", "fn", "tn")]
    found = beside([ONE], ("accuracy", "resnet18", 0.5), *matrix, ("auc", "resnet18", 0.5))
    assert len(found.numbers) == 6
    assert found.compared == 3
    assert beside([ONE], ("accuracy", "resnet18", 0.5), ("confusion.fn", "resnet18", 20)).compared == 2


def test_the_best_net_and_the_average_over_nets():
    runs = [run("resnet18", 1), run("resnet50", 3), run("squeezenet1_0", 2)]
    aucs = [sorted(roc_auc_score(POSITIVE, one.heads[head]) for head in one.heads)[1] for one in runs]
    found = beside(runs, ("auc", "best", 0.5), ("auc", "average", 0.5))
    best, average = numbers_of(found)
    assert list(found.numbers) == ["test/auc/best/paper", "test/auc/average/paper"]  # whichever net is the best
    assert best.model == "resnet50"
    assert best.ours.value == pytest.approx(max(aucs), abs=1e-6)
    assert average.model == "average of 3"
    assert average.ours.value == pytest.approx(np.mean(aucs), abs=1e-6)
    assert average.ours.low < average.ours.value < average.ours.high
    nets = numbers_of(beside(runs, *(("auc", one.model, 0.5) for one in runs)))
    assert width(average.ours) < max(width(row.ours) for row in nets)


def test_a_number_stands_beside_each_of_its_recipes_that_was_run():
    runs = [run("resnet18", 1, "replayed", seeds=1), run("resnet18", 2), run("resnet18", 2, "other")]
    found = beside(runs, ("auc", "resnet18", 0.5), ("auc", "densenet161", 0.5), recipes=["replayed", "paper", "never"])
    assert [row.recipe for row in numbers_of(found)] == ["replayed", "paper"]
    assert numbers_of(found)[0].over_heads is None
    assert (found.compared, found.not_run) == (2, 1)


def test_a_number_of_other_test_images_is_shown_but_not_counted():
    auc = float(roc_auc_score(POSITIVE, ONE.score))
    found = beside([ONE], ("auc", "resnet18", auc), covid=39)
    assert [(row.inside, row.same_test_counts) for row in numbers_of(found)] == [(True, False)]
    assert (found.compared, found.inside, found.of_other_test_images) == (0, 0, 1)


def test_without_published_numbers_for_a_data_set_nothing_is_compared():
    found = beside_published(measured(ONE), {})
    assert found == AgainstPublished(compared=0, inside=0, of_other_test_images=0, not_run=0, numbers={})


def test_scores_that_do_not_cover_the_images_are_refused(refused):
    short = Run("resnet18", "paper", 0.5, ONE.scores.iloc[:100])
    holed = Run("resnet18", "paper", 0.5, ONE.scores.assign(seed_1=ONE.scores["seed_1"].where(ONE.scores.index > 0)))
    for one, count in ((short, 100), (holed, 119)):
        with refused("resnet18 under paper has scores of ", f"{count} images, there are 120", "dvc repro"):
            measured(ONE, one)


def test_the_difference_of_aucs_has_the_interval_of_a_plain_paired_bootstrap():
    first, second = run("resnet18", 1), run("resnet50", 1.6)
    many = BOOTSTRAP.model_copy(update={"bootstrap_samples": 2000})
    (pair,) = pairs_of(measure_under(many, first, second))
    rng = np.random.default_rng(11)
    differences = []
    for _ in range(1000):
        drawn = [rng.choice(20, 20), 20 + rng.choice(40, 40)]  # patients of two images each
        rows = np.concatenate([np.concatenate([2 * side, 2 * side + 1]) for side in drawn])
        aucs = [roc_auc_score(POSITIVE[rows], one.score[rows]) for one in (first, second)]
        differences.append(aucs[0] - aucs[1])
    own = pair.auc.difference
    assert own.value == pytest.approx(pair.auc.first - pair.auc.second, abs=2e-6)
    assert (own.low, own.high) == pytest.approx(np.quantile(differences, [0.025, 0.975]), abs=0.015)


def test_the_papers_claim_alone_is_tested():
    runs = [run("squeezenet1_0", 1), run("resnet18", 1.6), run("resnet50", 2)]
    bootstrap = Bootstrap.of(runs[0].scores, BOOTSTRAP)
    claim = between_nets(measure(runs, [None] * 3, bootstrap)).claim
    draws = bootstrap.auc(runs[0].score) - bootstrap.auc(runs[1].score)
    assert claim.p_value == pytest.approx(bootstrap_p_value(draws), abs=1e-6)
    assert claim.difference.value == pytest.approx(
        roc_auc_score(POSITIVE, runs[0].score) - roc_auc_score(POSITIVE, runs[1].score), abs=1e-6
    )
    assert between_nets(measure(runs[:1], [None], bootstrap)).claim is None


def test_shared_draws_make_the_interval_of_two_like_nets_narrow():
    one = run("resnet18", 1)
    like = run_of("resnet50", one.heads + np.random.default_rng(0).normal(0, 0.01, one.heads.shape))
    other = run("squeezenet1_0", 1)
    close, far, _ = (pair.auc.difference for pair in pairs_of(measured(one, like, other)))
    assert 0 < width(close) < width(far) / 4


def test_a_net_differs_from_itself_in_nothing():
    same = Run("resnet50", "paper", 0.5, ONE.scores)
    (pair,) = pairs_of(measured(ONE, same))
    assert {
        (rates.difference, rates.patients.low, rates.only_first) for rates in (pair.sensitivity, pair.specificity)
    } == {(0, 0, 0)}
    assert pair.auc.difference == Estimate(value=0, low=0, high=0)


@given(strengths=st.tuples(st.floats(0, 4), st.floats(0, 4)), cut_off=st.sampled_from([0.2, 0.5, 0.8]))
def test_rates_apart_are_counted_and_have_a_paired_interval_by_patient(strengths, cut_off):
    runs = [
        run(net, strength, cut_off=cut_off) for net, strength in zip(("resnet18", "resnet50"), strengths, strict=True)
    ]
    (pair,) = pairs_of(measured(*runs))
    weights = Bootstrap.of(runs[0].scores, BOOTSTRAP).weights
    right = [(one.score >= cut_off) == POSITIVE for one in runs]
    for name, side in (("sensitivity", POSITIVE), ("specificity", ~POSITIVE)):
        first, second = (part[side] for part in right)
        table = [[(a & b).sum() for b in (second, ~second)] for a in (first, ~first)]
        own = getattr(pair, name)
        assert (own.only_first, own.only_second) == (table[0][1], table[1][0])
        assert (own.first, own.second) == pytest.approx((first.mean(), second.mean()), abs=1e-6)
        draws = weights[side].T @ (first.astype(float) - second) / weights[side].sum(axis=0)
        assert (own.patients.low, own.patients.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=2e-6)


def test_pairs_are_all_those_of_one_recipe_and_seeds_are_compared_seed_by_seed():
    nets = ("resnet18", "resnet50", "squeezenet1_0")
    runs = [run(net, 1, recipe) for recipe in ("paper", "other") for net in nets]
    found = between_nets(measured(*runs, run("resnet18", 1, "replayed", seeds=2)))
    assert found.compared == len(found.pairs) == 6
    both = [f"{first}-{second}" for first, second in combinations(nets, 2)]
    assert list(found.pairs) == [f"{recipe}/{pair}" for recipe in ("paper", "other") for pair in both]
    over = found.pairs["paper/resnet18-resnet50"].auc_over_seeds
    aucs = [[roc_auc_score(POSITIVE, one.heads[seed]) for seed in one.heads] for one in runs[:2]]
    expected = np.subtract(*aucs)
    assert over.seeds == 3
    assert (over.mean, over.min, over.max) == pytest.approx((expected.mean(), expected.min(), expected.max()), abs=1e-6)


def test_the_order_of_the_images_in_the_tables_does_not_matter():
    other = run("resnet50", 2)
    shuffled = Run("resnet50", "paper", 0.5, other.scores.sample(frac=1, random_state=0))
    assert between_nets(measured(ONE, shuffled)) == between_nets(measured(ONE, other))


@given(draws=st.lists(st.integers(-3, 3), min_size=1))
def test_bootstrap_p_value_is_that_of_its_sign_reversed_and_never_0(draws):
    draws = np.array(draws, dtype=float)
    assert bootstrap_p_value(draws) == bootstrap_p_value(-draws)
    assert 0 < bootstrap_p_value(draws) <= 1


def test_bootstrap_p_value_is_small_where_all_samples_lie_on_one_side():
    assert bootstrap_p_value(np.linspace(1, 2, 999)) == pytest.approx(0.002)


def claim(strengths, dataset="covid-xray-5k", papers_images=True):
    nets = between_nets(measured(*(run(net, strength) for net, strength in strengths.items())))
    return nets, " ".join(claim_sentences(nets, dataset, papers_images))


def test_the_claim_is_squeezenet_less_resnet18_whichever_comes_first():
    forth, _ = claim({"squeezenet1_0": 3, "resnet18": 0.5})
    back, _ = claim({"resnet18": 0.5, "squeezenet1_0": 3})
    assert forth.claim == back.claim
    assert 0 < forth.claim.difference.low < forth.claim.difference.value < forth.claim.difference.high


def test_the_sentence_bears_the_claim_out_only_where_squeezenet_is_highest_and_the_interval_excludes_0():
    nets, sentence = claim({"resnet18": 0.5, "squeezenet1_0": 3})
    assert "SqueezeNet has the highest AUC of 2 nets" in sentence
    assert ", as the paper reports." in sentence
    own = nets.claim.difference
    assert f"{own.value:+.4f} (95 % interval {own.low:+.4f} to " in sentence
    assert sentence.endswith("So SqueezeNet has the better of the two heads on these images.")


def test_the_sentence_says_that_resnet18_is_ahead_where_it_is():
    _, sentence = claim({"resnet18": 3, "squeezenet1_0": 0.5})
    assert "ResNet18 has the highest AUC of 2 nets" in sentence
    assert ", where the paper reports SqueezeNet." in sentence
    assert sentence.endswith("So ResNet18 has the better of the two heads on these images.")
    assert sentence.count("less") == 1


def test_the_sentence_names_another_highest_net_and_leaves_open_what_the_interval_leaves_open():
    _, sentence = claim({"resnet18": 1, "squeezenet1_0": 1, "resnet50": 4})
    assert "ResNet50 has the highest AUC of 3 nets" in sentence
    assert "The AUC of ResNet50 less that of SqueezeNet is +" in sentence
    assert sentence.endswith("So these images do not show which of the two heads is better.")


def test_on_other_images_the_sentence_says_nothing_of_the_paper_or_the_disease():
    _, sentence = claim({"resnet18": 0.5, "squeezenet1_0": 3}, "phantom", papers_images=False)
    assert "paper reports" not in sentence
    assert "COVID" not in sentence
    assert sentence.endswith(" Nothing follows for the paper's claim, which is of other images.")


@pytest.mark.parametrize("nets", [["squeezenet1_0"], ["resnet18", "resnet50"]])
def test_without_both_nets_the_claim_has_no_answer(nets):
    found, sentence = claim(dict.fromkeys(nets, 1))
    assert found.claim is None
    assert "has no answer on covid-xray-5k. Run both nets under the recipe “paper's text” to get one." in sentence


@pytest.mark.parametrize("papers_images", [True, False])
@pytest.mark.parametrize("resnet50", [0.5, 4])
def test_the_answer_is_in_short_sentences(papers_images, resnet50):
    _, said = claim({"resnet18": 1, "squeezenet1_0": 2, "resnet50": resnet50}, papers_images=papers_images)
    assert said.endswith(".")
    assert all(len(sentence.split()) <= 30 for sentence in said.split(". "))
