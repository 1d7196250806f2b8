"""Gather the tables behind the plots of all data sets that run today, one table a plot."""

from collections import defaultdict

import pandas as pd

from deepcovid.audits.registry import plots_of, read_results
from deepcovid.files import read_csv, replacing, write_csv
from deepcovid.parameters import Settings
from deepcovid.statistics.calibration import Calibrations
from deepcovid.statistics.estimate import read_result
from stages import _run, paths
from stages.lock import Lock


def plots(settings: Settings) -> None:
    lock, parts = Lock(), defaultdict(list)
    for dataset in settings.datasets:
        for file in sorted(paths.curves(dataset).rglob("*.csv")):
            lock.step_of(file)  # refuses a file that is not whole
            # As text, so that what is gathered is what was written.
            parts[file.stem].append(read_csv(file, ("dataset", "model"), dtype=str, keep_default_na=False))
        calibration = paths.results(dataset, "calibration")
        lock.step_of(calibration)
        calibrations = read_result(calibration, Calibrations)
        audits = read_results(paths.RESULTS / dataset)
        for name, table in plots_of(dataset, calibrations, audits).items():
            parts[name].append(table)
    with replacing(paths.PLOTS / "tables") as target:
        target.mkdir()
        for name, tables in parts.items():
            write_csv(target / f"{name}.csv", pd.concat(tables))


if __name__ == "__main__":
    _run.run(plots)
