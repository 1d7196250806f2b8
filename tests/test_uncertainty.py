"""Patients, splits and seeds side by side, against plain numpy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from deepcovid.heads.halves import COLUMNS
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.comparison import measure, metrics_of
from deepcovid.statistics.uncertainty import HEADLINES, ChosenOn, uncertainty
from tests.test_comparison import BOOTSTRAP, POSITIVE, run

NONE = pd.DataFrame(columns=["model", *COLUMNS])


def test_what_it_changes_that_epochs_are_chosen_on_the_test_images_is_said():
    rows = [("resnet18", "a", 0.9, 0.89), ("resnet18", "b", 0.8, 0.802), ("resnet50", "a", 0.7, 0.7)]
    found = uncertainty([], pd.DataFrame(rows, columns=["model", *COLUMNS]))
    assert found.chosen_on["resnet18-b"] == ChosenOn(same=0.8, other=0.802)
    said = found.on_selection()
    assert "changes by -0.0100 to +0.0020 over 3 runs on a frozen net, by -0.0027 on average; in 1 of them not" in said
    assert uncertainty([], NONE).on_selection() == ""


def test_each_source_is_the_spread_of_its_own_values():
    one, rng = run("resnet18", 1.5, seeds=5), np.random.default_rng(0)
    on_splits = pd.DataFrame([metrics_of(POSITIVE, rng.random(120), 0.5) for _ in range(7)])
    bootstrap = Bootstrap.of(one.scores, BOOTSTRAP)
    (found,) = uncertainty(measure([one], [on_splits], bootstrap), NONE).runs.values()
    by_seed = pd.DataFrame([metrics_of(POSITIVE, one.heads[head].to_numpy(), 0.5) for head in one.heads])
    median = by_seed["auc"].sort_values().index[2]
    for name, metric in HEADLINES.items():
        own = getattr(found, name)
        assert own.value == pytest.approx(by_seed[metric][median], abs=1e-6)
        for source, values in ((own.splits, on_splits[metric]), (own.seeds, by_seed[metric])):
            assert source.deviation == pytest.approx(values.std(), abs=1e-6)
            assert (source.low, source.high) == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-6)
            assert source.values == len(values)
    drawn = [np.repeat(np.arange(120), sample.astype(int)) for sample in bootstrap.weights.T]
    areas = [roc_auc_score(POSITIVE[rows], one.score[rows]) for rows in drawn]
    assert found.auc.patients.deviation == pytest.approx(np.std(areas, ddof=1), abs=1e-6)
    rates = [(one.score[rows][~POSITIVE[rows]] < 0.5).mean() for rows in drawn]
    assert found.specificity.patients.low == pytest.approx(np.quantile(rates, 0.025), abs=1e-6)


def test_what_was_not_varied_has_no_source():
    one = run("resnet18", 1, "replayed", seeds=1)
    (found,) = uncertainty(measure([one], [None], Bootstrap.of(one.scores, BOOTSTRAP)), NONE).runs.values()
    assert found.auc.splits is None
    assert found.auc.seeds is None
    assert found.auc.patients.values == BOOTSTRAP.bootstrap_samples


def test_on_whole_nets_runs_and_the_seeds_within_them_are_told_apart():
    """The variance over all heads is that of seeds within runs and that of the runs' means, as in any such table."""
    one, rng = run("resnet18", 1.5, "replayed", seeds=6), np.random.default_rng(0)
    names = [f"seed_{seed}_run_{which}" for which in (0, 1) for seed in (0, 1, 2)]
    scores = one.scores.rename(columns=dict(zip(one.heads.columns, names, strict=True)))
    scores[names[3:]] += rng.normal(0, 0.5, (len(scores), 3))
    one = replace(one, scores=scores)
    (found,) = uncertainty(measure([one], [None], Bootstrap.of(scores, BOOTSTRAP)), NONE).runs.values()
    areas = np.array([roc_auc_score(POSITIVE, one.heads[name]) for name in names]).reshape(2, 3)
    assert (found.auc.runs.low, found.auc.runs.high) == pytest.approx(
        np.quantile(areas.mean(1), [0.025, 0.975]), abs=1e-6
    )
    assert found.auc.runs.values == 2
    within = areas - areas.mean(1, keepdims=True)
    assert found.auc.seeds.deviation == pytest.approx(within.std(ddof=1), abs=1e-6)
    total = 5 * found.auc.seeds.deviation**2 + 3 * found.auc.runs.deviation**2
    assert total == pytest.approx(5 * areas.var(ddof=1), abs=1e-5)
    assert found.varied == ["patients", "seeds", "runs"]
