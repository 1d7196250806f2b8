"""What was scored: the test images, a column a head."""

from pathlib import Path

import pandas as pd

from deepcovid.parameters import RunParameters
from deepcovid.statistics.runs import Run
from stages import paths


def read_run(dataset: str, run: RunParameters) -> Run:
    """Return a run with its scores."""
    return Run(run.model, run.recipe, run.cut_off, read_scores(dataset, run))


def read_scores(dataset: str, run: RunParameters) -> pd.DataFrame:
    """Return what the train and replay stages wrote of a run."""
    return read_score_table(paths.scores(dataset, run))


def read_score_table(path: Path) -> pd.DataFrame:
    """Return a table that deepcovid.heads.scoring.score_table made."""
    return pd.read_csv(path, dtype={"patient_id": str}, keep_default_na=False)


def read_log(dataset: str, run: RunParameters) -> pd.DataFrame:
    """Return the log of a run's training, a row per head and epoch."""
    return pd.read_csv(paths.training(dataset, run))
