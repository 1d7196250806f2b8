"""Which audits there are. The page, the README and the plots loop over these; adding an audit is adding a line.

Nothing here imports torch, so that what only tells results starts quickly.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from deepcovid.audits import reliability
from deepcovid.audits.acquisition import Acquisition
from deepcovid.audits.audit import Audit, area, of_kind
from deepcovid.audits.baselines import Baselines
from deepcovid.audits.changed import Changed
from deepcovid.audits.collection import Collection
from deepcovid.audits.enough import Way, highest_first
from deepcovid.audits.external import External
from deepcovid.audits.hidden import Hidden
from deepcovid.audits.leakage import Leakage
from deepcovid.audits.reliability import Curves
from deepcovid.statistics.calibration import Calibrations
from deepcovid.statistics.estimate import read_result

# By the name of their result, in the order in which they are told.
AUDITS: dict[str, type[Audit]] = {
    "leakage": Leakage,
    "acquisition": Acquisition,
    "baselines": Baselines,
    "hidden": Hidden,
    "changed": Changed,
    "collection": Collection,
    "external": External,
}


def results_of(test_sets: Iterable[str]) -> dict[str, type[Audit]]:
    """Return the results that the audits of one data set leave, by name: `external/cohen` for the test set cohen."""
    names = {kind: [f"{name}/{images}" for images in test_sets] for name, kind in AUDITS.items() if kind.PER_TEST_SET}
    return {one: kind for name, kind in AUDITS.items() for one in names.get(kind, [name])}


def read_results(folder: Path) -> dict[str, Audit]:
    """Return the audits' results that are in `folder`, by name."""
    found = {}
    for name, kind in AUDITS.items():
        for path in sorted(folder.glob(f"{name}/*.json" if kind.PER_TEST_SET else f"{name}.json")):
            found[path.relative_to(folder).with_suffix("").as_posix()] = read_result(path, kind)
    return found


def ways_of(found: Mapping[str, Audit]) -> list[Way]:
    """Return what all audits tried to tell the classes apart, highest AUC first."""
    return highest_first(way for kind in AUDITS.values() for audit in of_kind(found, kind) for way in audit.ways())


def sentences(found: Mapping[str, Audit]) -> Iterator[str]:
    """Yield what the audits of one data set found, in sentences; `found` are results by name, as in `results_of`."""
    for kind in AUDITS.values():
        own = of_kind(found, kind)
        if not own and kind.ABSENT:
            yield kind.ABSENT
        for audit in own:
            yield from audit.sentences()


def curves_of(dataset: str, own: Calibrations, found: Mapping[str, Audit]) -> Curves:
    """Return all reliability curves: `own` of a data set's test images first, then those that audits measured."""
    curves = {dataset: own.nets}
    for kind in AUDITS.values():
        for audit in of_kind(found, kind):
            curves |= audit.calibrations()
    return curves


def plots_of(dataset: str, own: Calibrations, found: Mapping[str, Audit]) -> dict[str, pd.DataFrame]:
    """Return the tables of the interactive plots, by the name of the plot, with the data set as first column."""
    tables = {name: table for audit in found.values() for name, table in audit.plots().items()}
    tables["enough"] = pd.DataFrame({"title": way.label, "kind": way.kind, **area(way.auc)} for way in ways_of(found))
    tables["reliability"] = reliability.plot(curves_of(dataset, own, found))
    return {name: pd.DataFrame({"dataset": dataset}, index=table.index).join(table) for name, table in tables.items()}
