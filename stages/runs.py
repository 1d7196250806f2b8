"""Reads the scores and training logs of runs. A score table has one row per test image and one column per head."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from deepcovid import catalogue
from deepcovid.errors import REMAKE, UserError
from deepcovid.files import read_csv
from deepcovid.heads.scoring import heads_of
from deepcovid.parameters import RunParameters
from deepcovid.statistics.runs import Run
from stages import paths

MEASURED = ("loss", "train_accuracy", "test_accuracy", "test_auc")  # columns of a training log


def read_run(dataset: str, run: RunParameters, table: pd.DataFrame | None = None) -> Run:
    """Return a run with its scores; `table` is as for `read_scores`."""
    return Run(run.model, run.recipe, run.cut_off, read_scores(dataset, run, table))


def read_scores(dataset: str, run: RunParameters, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the scores of a run that the train or the replay stage wrote.

    Args:
        dataset: Its name.
        run: The run.
        table: The data set's catalogue, to check that its test images were scored. None for no check, if dvc.lock was
            asked already.

    Raises:
        UserError: As `read_score_table` does.
    """
    return read_score_table(paths.scores(dataset, run), dataset, table)


def read_score_table(path: Path, dataset: str, table: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a table that deepcovid.heads.scoring.score_table made; arguments are as for `read_scores`.

    Raises:
        UserError: The file is damaged, or does not have the test images of the catalogue.
    """
    text = {"image_id": str, "patient_id": str}
    scores = read_csv(path, ("image_id", "label", "group", "patient_id"), dtype=text, keep_default_na=False)
    heads = heads_of(scores)
    alike = [pd.api.types.is_numeric_dtype(kind) for kind in heads.dtypes]
    if not alike or not all(alike) or not heads.apply(lambda own: own.between(0, 1)).all(axis=None):
        raise UserError(f"{path}: damaged (a score is not a number from 0 to 1, or there is none); {REMAKE}")
    if table is not None:
        test = table[catalogue.in_test(table)]
        known = dict(zip(test["image_id"], test["label"], strict=True))
        if len(scores) != len(test) or dict(zip(scores["image_id"], scores["label"], strict=True)) != known:
            raise UserError(
                f"{path}: its {len(scores)} rows do not match the {len(test)} test images of "
                f"{paths.data(dataset, 'images.csv')}; run `dvc repro`, which makes both again"
            )
    return scores


def read_log(dataset: str, run: RunParameters, heads: Collection[str]) -> pd.DataFrame:
    """Return the log of a run's training, a row per head and epoch; `heads` are the columns of its score table.

    Raises:
        UserError: The file is damaged, is not of these heads, or lacks an epoch of one of them.
    """
    path = paths.training(dataset, run)
    log = read_csv(path, (), ("seed", "epoch", *MEASURED))
    epochs = log["epoch"].groupby(head_names(log)).agg(["nunique", "size", "max"])
    if set(epochs.index) != set(heads) or epochs.to_numpy().min() != epochs.to_numpy().max():
        raise UserError(f"{path}: damaged (not every epoch of the {len(heads)} heads of the scores); {REMAKE}")
    return log


def head_names(log: pd.DataFrame) -> "pd.Series[str]":
    """Return the head of each row of a training log, under its name in the score table."""
    names = "seed_" + log["seed"].astype(str)
    return names + "_run_" + log["run"].astype(str) if "run" in log else names
