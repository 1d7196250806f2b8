import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    precision_score,
    recall_score,
    roc_auc_score,
)

from deepcovid.statistics import curves
from tests.strategies import labelled_scores


@given(case=labelled_scores())
def test_roc_encloses_the_auc_and_each_point_is_what_its_cut_off_gives(case):
    positive, score = case
    table = curves.roc(positive, score)
    assert auc(table["false_positive_rate"], table["true_positive_rate"]) == pytest.approx(roc_auc_score(*case))
    assert table.iloc[0].tolist() == [0, 0, 1]
    for row in table[1:].itertuples():
        called = score >= row.cut_off
        assert row.true_positive_rate == pytest.approx(called[positive].mean())
        assert row.false_positive_rate == pytest.approx(called[~positive].mean())


@given(case=labelled_scores())
def test_precision_recall_encloses_the_average_precision_and_each_point_is_what_its_cut_off_gives(case):
    positive, score = case
    table = curves.precision_recall(positive, score)
    area = -np.sum(np.diff(table["recall"]) * table["precision"][:-1])
    assert area == pytest.approx(average_precision_score(*case))
    assert table.iloc[-1].to_dict() == {"recall": 0, "precision": 1, "cut_off": 1}
    for row in table[:-1].itertuples():
        called = score >= row.cut_off
        assert row.recall == pytest.approx(recall_score(positive, called))
        assert row.precision == pytest.approx(precision_score(positive, called))


@given(case=labelled_scores())
def test_over_cut_offs_sensitivity_falls_and_specificity_rises_as_sklearn_has_them(case):
    positive, score = case
    rates = curves.over_cut_offs(positive, score).pivot_table(index="cut_off", columns="rate", values="value")
    assert rates.index.tolist() == pytest.approx([step / 50 for step in range(51)])
    assert rates["sensitivity"].is_monotonic_decreasing
    assert rates["specificity"].is_monotonic_increasing
    for cut_off in rates.index[[0, 17, 50]]:
        called = score >= cut_off
        assert rates["sensitivity"][cut_off] == pytest.approx(recall_score(positive, called))
        assert rates["specificity"][cut_off] == pytest.approx(recall_score(positive, called, pos_label=False))


@given(images=st.lists(st.tuples(st.sampled_from(["covid", "other", "normal"]), st.floats(0, 1)), min_size=1))
def test_histogram_has_the_share_of_each_groups_images_in_24_bins(images):
    group, score = (pd.Series(part) for part in zip(*images, strict=True))
    table = curves.histogram(group, score.to_numpy())
    assert table["group"].value_counts().to_dict() == {"covid": 24, "other": 24, "normal": 24}
    for row in table.itertuples():
        own = score[group == row.group]
        inside = (own >= row.low) & ((own < row.high) | (row.high == 1))
        assert row.share == pytest.approx(inside.mean() if len(own) else 0)
    shares = table.groupby("group")["share"].sum()
    assert shares.to_dict() == pytest.approx({name: float((group == name).any()) for name in shares.index})


@given(case=labelled_scores(), cut_off=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_confusion_is_that_of_sklearn_and_sums_to_the_images(case, cut_off):
    positive, score = case
    table = curves.confusion(positive, score, cut_off)
    cells = table.set_index(["actual", "predicted"])["images"]
    expected = confusion_matrix(positive, score >= cut_off, labels=[True, False])
    assert cells.unstack().loc[["covid", "non"], ["covid", "non"]].to_numpy().tolist() == expected.tolist()
    assert cells.sum() == len(positive)
