"""Committed numbers, recomputed from the committed scores of the replays with scikit-learn, statsmodels and numpy."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    recall_score,
    roc_auc_score,
    roc_curve,
)
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from stages._resolved import read_settings
from tests.checkouts import ROOT

SCORES = sorted((ROOT / "results/replayed").glob("*/*-scores.csv"))


def committed(path):
    """Return the committed results of the run whose scores are in the file, the scores, and who has COVID-19."""
    runs = json.loads((ROOT / "results" / path.parent.name / "runs.json").read_text())["runs"]
    table = pd.read_csv(path)
    return runs[path.name.removesuffix("-scores.csv")], table.filter(like="seed_"), table["label"] == "covid"


@pytest.mark.parametrize("path", SCORES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_numbers_of_a_replay_follow_from_its_scores(path):
    run, heads, covid = committed(path)
    score = heads[run["shown"]]
    called = score >= run["cut_off"]
    false_positive, true_positive, _ = roc_curve(covid, score, drop_intermediate=False)
    (tn, fp), (fn, tp) = confusion_matrix(covid, called, labels=[False, True])
    sensitivity = recall_score(covid, called)
    reach = 1.96 * np.sqrt(sensitivity * (1 - sensitivity) / (tp + fn))
    areas = [roc_auc_score(covid, heads[name]) for name in heads]
    by_run = pd.Series(areas).groupby([name.partition("_run_")[2] for name in heads]).mean()
    units = areas if len(by_run) == 1 else by_run.tolist()  # of several runs, a run counts once
    collapsed = [(heads[name] >= run["cut_off"]).nunique() == 1 for name in heads]
    expected = {
        "auc": roc_auc_score(covid, score),
        "average_precision": average_precision_score(covid, score),
        "accuracy": accuracy_score(covid, called),
        "sensitivity": sensitivity,
        "specificity": recall_score(covid, called, pos_label=False),
        "specificity at sensitivity 98 %": 1 - false_positive[np.argmax(true_positive >= 0.98)],
        "lowest AUC of a head": min(areas),
        "highest": max(areas),
        "mean": np.mean(areas),
        "its interval's low end": max(DescrStatsW(units).tconfint_mean()[0], 0),
        "sensitivity, Wilson's low end": proportion_confint(tp, tp + fn, method="wilson")[0],
        "sensitivity, the paper's high end": min(sensitivity + reach, 1),
        "share of heads that call every image alike": np.mean(collapsed),
        "its interval's high end": proportion_confint(sum(collapsed), len(collapsed), method="wilson")[1],
    }
    over = run["over_seeds"]
    found = {
        "auc": run["auc"]["value"],
        "average_precision": run["average_precision"],
        "accuracy": run["accuracy"],
        "sensitivity": run["sensitivity"]["value"],
        "specificity": run["specificity"]["value"],
        "specificity at sensitivity 98 %": run["at_sensitivity_98"]["specificity"],
        "lowest AUC of a head": over["auc"]["min"],
        "highest": over["auc"]["max"],
        "mean": over["auc"]["mean"]["value"],
        "its interval's low end": over["auc"]["mean"]["low"],
        "sensitivity, Wilson's low end": run["sensitivity"]["wilson"]["low"],
        "sensitivity, the paper's high end": run["sensitivity"]["paper"]["high"],
        "share of heads that call every image alike": over["collapsed"]["mean"]["value"],
        "its interval's high end": over["collapsed"]["mean"]["high"],
    }
    assert found == pytest.approx(expected, abs=1e-5)
    assert run["confusion"] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


@pytest.mark.parametrize("path", SCORES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_interval_of_an_auc_is_a_bootstrap_over_patients(path):
    """Against patients drawn one by one from another generator; two such intervals differ by chance."""
    run, heads, covid = committed(path)
    names = pd.read_csv(path, dtype={"patient_id": str}, keep_default_na=False)["patient_id"]
    rng, score = np.random.default_rng(7), heads[run["shown"]].to_numpy()
    sides = [list(names.index[side].groupby(names[side]).values()) for side in (covid, ~covid)]
    areas = []
    for _ in range(200):
        drawn = [side[number] for side in sides for number in rng.integers(0, len(side), len(side))]
        rows = np.concatenate(drawn)
        areas.append(roc_auc_score(covid[rows], score[rows]))
    low, high = np.quantile(areas, [0.025, 0.975])
    assert (run["auc"]["low"], run["auc"]["high"]) == pytest.approx((low, high), abs=0.02)


CAPPED = [path for path in SCORES if "further" in committed(path)[0]]


@pytest.mark.parametrize("path", SCORES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_nothing_is_said_of_epochs_past_the_cap_only_where_all_of_them_ran(path):
    recipe = read_settings().recipe[path.stem.partition("-")[2].removesuffix("-scores")]
    last = pd.read_csv(path.with_name(path.name.replace("-scores", "-log")))["epoch"].max()
    assert (path in CAPPED) == (last < recipe.epochs)


@pytest.mark.parametrize("path", CAPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_lies_past_the_cap_follows_from_the_log(path):
    run, heads, _ = committed(path)
    log = pd.read_csv(path.with_name(path.name.replace("-scores", "-log")))
    by_head = [own.sort_values("epoch") for _, own in log.groupby(["seed", "run"])]
    assert len(by_head) == heads.shape[1]
    last = [own.tail(len(own) // 3) for own in by_head]
    further = run["further"]
    bounds = []
    for own in last:
        accuracy, number = own["test_accuracy"], len(own)
        reach = t(number - 1).ppf(0.95 ** (1 / further["left_out"])) * accuracy.std() * np.sqrt(1 + 1 / number)
        bounds.append(min(accuracy.mean() + reach, 1))
    if all(own["test_accuracy"].nunique() == 1 for own in last):
        assert "at_most" not in further
    else:
        assert further["at_most"] == pytest.approx(max(bounds), abs=1e-5)
    assert further["kept"] == pytest.approx(log["test_accuracy"].max(), abs=1e-5)
    assert further["auc_moves"] == pytest.approx(max(np.ptp(own["test_auc"]) for own in last), abs=1e-5)


def test_there_are_scores_to_recompute_from():
    assert len(SCORES) >= 4
    assert CAPPED
