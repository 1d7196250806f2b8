"""Gather the tables behind the plots of all data sets that run today, one table a plot."""

from collections import defaultdict

import pandas as pd

from deepcovid.audits.registry import plots_of, read_results
from deepcovid.files import replacing, write_csv
from deepcovid.parameters import Settings
from deepcovid.statistics.calibration import Calibrations
from deepcovid.statistics.estimate import read_result
from stages import _run, paths


def plots(settings: Settings) -> None:
    parts = defaultdict(list)
    for dataset in settings.datasets:
        for file in sorted(paths.curves(dataset).rglob("*.csv")):
            # As text, so that what is gathered is what was written.
            parts[file.stem].append(pd.read_csv(file, dtype=str, keep_default_na=False))
        calibrations = read_result(paths.results(dataset, "calibration"), Calibrations)
        audits = read_results(paths.RESULTS / dataset)
        for name, table in plots_of(dataset, calibrations, audits).items():
            parts[name].append(table)
    with replacing(paths.PLOTS / "tables") as target:
        target.mkdir()
        for name, tables in parts.items():
            write_csv(target / f"{name}.csv", pd.concat(tables))


if __name__ == "__main__":
    _run.run(plots)
