"""The committed results of all data sets, looked up by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepcovid.audits.dials import Dials
from deepcovid.audits.registry import AUDITS
from deepcovid.errors import UserError
from deepcovid.files import read_json
from deepcovid.heatmaps.beside import MapsBeside
from deepcovid.heatmaps.localisation import NetHeat
from deepcovid.ladder.measuring import Ladders, RungResult
from deepcovid.schema import Strict
from deepcovid.statistics.comparison import AgainstPublished
from deepcovid.statistics.estimate import read_result
from deepcovid.statistics.paired import NetsCompared
from deepcovid.statistics.rates import RunResult, Runs
from deepcovid.statistics.review import Review
from deepcovid.statistics.uncertainty import Uncertainty

KINDS: Mapping[str, type[Strict]] = {
    "runs": Runs,
    "published": AgainstPublished,
    "nets": NetsCompared,
    "ladder": Ladders,
    "uncertainty": Uncertainty,
    "dials": Dials,
    "review": Review,
    **AUDITS,
}


class Results:
    """What stands in results/: a folder a data set, a JSON file a result."""

    def __init__(self, folder: Path) -> None:
        """Take the folder that holds one folder a data set."""
        self.folder = folder

    def datasets(self) -> list[str]:
        """Return the data sets that heads were trained on."""
        return sorted(path.parent.name for path in self.folder.glob("*/runs.json"))

    def names(self, dataset: str, pattern: str) -> list[str]:
        """Return the names of a data set's results that fit a pattern, in order: `external/*`."""
        folder = self.folder / dataset
        return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.glob(f"{pattern}.json"))

    def has(self, dataset: str, name: str) -> bool:
        """Return whether there is such a result."""
        return self._path(dataset, name).is_file()

    def result(self, dataset: str, name: str) -> Any:
        """Return a result: its model, or plain values where the file has none (counts of images, for example).

        Raises:
            UserError: There is no such file, or it does not fit its model.
        """
        path = self._path(dataset, name)
        if not path.is_file():
            known = ", ".join(sorted(other.stem for other in path.parent.glob("*.json"))) or "nothing"
            raise UserError(f"{path}: no such result; there is {known}")
        if name.startswith("heatmaps/"):
            return read_result(path, MapsBeside if "-beside-" in name else NetHeat)
        kind = Review if name.endswith("/review") else KINDS.get(name.partition("/")[0])
        return read_result(path, kind) if kind else read_json(path)

    def run(self, dataset: str, net: str, recipe: str) -> RunResult:
        """Return the numbers of one run.

        Raises:
            UserError: It was not run.
        """
        return self._named(self.result(dataset, "runs").runs, f"{net}-{recipe}", dataset, "runs")

    def rung(self, dataset: str, net: str, name: str) -> RungResult:
        """Return a rung of a net's ladder by its direction and label, such as `up augmented: yes`.

        Raises:
            UserError: There is none of that name.
        """
        rungs = self._named(self.result(dataset, "ladder").nets, net, dataset, "ladder").rungs.values()
        return self._named({f"{rung.direction} {rung.rung}": rung for rung in rungs}, name, dataset, "ladder")

    def _named(self, values: Mapping[str, Any], name: str, dataset: str, file: str) -> Any:
        if name not in values:
            raise UserError(f"{self._path(dataset, file)}: has no {name}; there is {', '.join(values)}")
        return values[name]

    def _path(self, dataset: str, name: str) -> Path:
        return self.folder / dataset / f"{name}.json"
