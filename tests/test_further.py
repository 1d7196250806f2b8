"""Epochs past the cap, against simulated ones."""

import numpy as np
import pandas as pd
import pytest

from deepcovid.statistics.further import further


def log_of(accuracy, auc=None):
    """A log of accuracies (epochs, heads)."""
    rows = [
        {"seed": head, "run": 0, "epoch": epoch + 1, "test_accuracy": value, "test_auc": (auc or accuracy)[epoch][head]}
        for epoch, values in enumerate(accuracy)
        for head, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_the_last_third_of_the_epochs_is_looked_at():
    accuracy = [[0.5, 0.6]] * 6 + [[0.7, 0.8], [0.71, 0.8], [0.69, 0.83]]
    found = further(log_of(accuracy, [[0.9, 0.9]] * 8 + [[0.8, 0.85]]), 129)
    assert (found.late, found.lowest, found.highest) == (3, 0.69, 0.83)
    assert found.auc_moves == pytest.approx(0.1)
    assert (found.kept, found.left_out) == (0.83, 129)
    assert found.at_most > 0.83
    assert "129 epochs were left out. In the last 3 that ran, the accuracy lay between" in found.sentence("ResNet18")


@pytest.mark.parametrize(("epochs", "left_out"), [(9, 30), (21, 129), (300, 40)])
def test_of_epochs_that_scatter_alike_the_best_of_all_others_stays_below_with_95_per_cent(epochs, left_out):
    rng, below = np.random.default_rng(0), []
    for _ in range(200):
        drawn = rng.normal(0.5, 0.01, epochs + left_out)
        found = further(log_of(drawn[:epochs, None].tolist()), left_out)
        below.append(drawn[epochs:].max() <= found.at_most)
    assert np.mean(below) >= 0.93


def test_epochs_that_do_not_differ_leave_nothing_to_expect_and_accuracy_ends_at_1():
    still = further(log_of([[0.9677]] * 9), 129)
    assert (still.at_most, still.auc_moves) == (None, 0)
    assert "The accuracy of no head moved in them." in still.sentence("ResNet18")
    assert further(log_of([[0.2], [1.0]] * 6), 10**6).at_most == 1
