"""What a report is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from deepcovid.audits.audit import Audit
from deepcovid.drawing.steps import Sourced, Step
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.heatmaps.beside import MapsBeside
from deepcovid.heatmaps.localisation import NetHeat
from deepcovid.ladder.measuring import Ladders
from deepcovid.nets.zoo import title_of
from deepcovid.parameters import main_of
from deepcovid.report.checklists import Checklists
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.calibration import Calibrations
from deepcovid.statistics.comparison import AgainstPublished
from deepcovid.statistics.counts import Confusion
from deepcovid.statistics.paired import NetsCompared
from deepcovid.statistics.rates import RunResult
from deepcovid.statistics.review import Review
from deepcovid.statistics.runs import Run
from deepcovid.statistics.uncertainty import Uncertainty

# Recipes that the report's story is about; others are shown beside them.
FAILED, RELEASED, PAPER = "failed-reproduction", "released-code", "paper"


@dataclass(frozen=True)
class MeasuredRun(Run):
    """A run with its numbers on the images that it was tested on.

    Attributes:
        result: The numbers.
    """

    result: RunResult

    @property
    def net(self) -> str:
        """The net's name as the paper has it."""
        return title_of(self.model)

    @property
    def title(self) -> str:
        """The recipe's title."""
        return title_of_recipe(self.recipe)


@dataclass(frozen=True)
class ShownRun(MeasuredRun):
    """A run with all that the report shows of it.

    Attributes:
        replayed: True where the whole net was trained as the released script does, false for a head on frozen features.
        log: A row per head and epoch: seed, epoch, loss, train_accuracy, test_accuracy, test_auc.
        evaluated: The step that made `result`.
        trained: The step that made the scores and the log.
    """

    replayed: bool
    log: pd.DataFrame
    evaluated: Step
    trained: Step


@dataclass(frozen=True)
class Contents:
    """Everything on the page.

    Attributes:
        dataset: Name of the data set.
        synthetic: True where the images were drawn, so that the numbers say nothing about COVID-19.
        random_weights: True where the nets have random weights in the place of trained ones.
        runs: One per net and recipe, in the order in which they are to be shown; replayed ones among them.
        bootstrap: Samples and seed for the bands of the ROC curves.
        findings: By net, what the ladder says in sentences.
        cause: Why the main net's failed reproduction fails, in sentences; none where the log does not show it.
        ladder: The ladder of each net.
        published: Published numbers beside ours.
        published_matrices: By source, confusion matrices that were published of the main net on as many test images.
        nets: The paired differences between nets; none of a net alone.
        nets_sentences: What the comparison of the nets says.
        audits: By name, what the audits found, as deepcovid.audits.registry.results_of names it.
        uncertainty: What moves the headlines of each run, and how far.
        calibration: How the data set's own scores are calibrated.
        heatmaps: By net, whether its heat lies in lesions and in lungs; empty where no heat maps were made.
        tested: By test set, a run a net of the recipe that the test tells of, on the images of the test set.
        beside: Maps of images with and without COVID-19, and a PNG file of the mean maps; one a net and test set.
        heatmap_pictures: By net, a PNG file: of synthetic images with their maps, or of mean maps without an image.
        reviews: By data set, what a reviewer asks for: of the test images of the data set itself, and of each test set.
        counted: By name, how many images the filter, the split and the decoding left: filter, split and images.
        put_aside: By data set, the images that could not be used and why: of the data set itself, and of each test set.
        checklists: What the paper and this project report, item by item.
        provenance: By name, what is recorded of data and weights.
        parameters: The settings of the data set and those that data sets share, nested.
        recipes: By name, the settings of each recipe, nested.
        steps: Every step whose products are on the page, and those before it, in the order of the pipeline.
        command: What makes this page.
    """

    dataset: str
    synthetic: bool
    random_weights: bool
    runs: tuple[ShownRun, ...]
    bootstrap: EvaluateSettings
    provenance: Mapping[str, Sourced[Any]]
    parameters: Mapping[str, Any]
    recipes: Mapping[str, Mapping[str, Any]]
    steps: tuple[Step, ...]
    command: str
    findings: Mapping[str, tuple[str, ...]]
    ladder: Sourced[Ladders]
    published: Sourced[AgainstPublished]
    nets: Sourced[NetsCompared]
    nets_sentences: tuple[str, ...]
    audits: Mapping[str, Sourced[Audit]]
    uncertainty: Sourced[Uncertainty]
    calibration: Sourced[Calibrations]
    reviews: Mapping[str, Sourced[Review]]
    counted: Mapping[str, Sourced[Any]]
    put_aside: Mapping[str, Sourced[Mapping[str, str]]]
    checklists: Checklists
    published_matrices: Mapping[str, Confusion]
    heatmaps: Mapping[str, Sourced[NetHeat]]
    tested: Mapping[str, tuple[MeasuredRun, ...]]
    beside: tuple[tuple[Sourced[MapsBeside], Sourced[bytes]], ...]
    heatmap_pictures: Mapping[str, Sourced[bytes]]
    cause: tuple[str, ...] = ()
    models: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(dict.fromkeys(run.model for run in self.runs)))

    @property
    def main_model(self) -> str:
        """The net of the failed reproduction, or the first where it was not run: see `main_of`."""
        return main_of(self.models)

    def of(self, recipe: str) -> tuple[ShownRun, ...]:
        """Return the runs under a recipe, one per net."""
        return tuple(run for run in self.runs if run.recipe == recipe)

    def of_model(self, model: str) -> tuple[ShownRun, ...]:
        """Return a net's runs in the order of the story: from the failure to the paper's recipe, others last.

        A recipe whose name begins with another's stands beside it.
        """
        own = [run for run in self.runs if run.model == model]
        return tuple(
            sorted(own, key=lambda run: [not run.recipe.startswith(told) for told in (FAILED, RELEASED, PAPER)])
        )


def failed_of(contents: Contents) -> ShownRun | None:
    """Return the main net's failed reproduction: on the whole net, or else on a frozen one; None where neither ran."""
    own = {run.recipe: run for run in contents.of_model(contents.main_model)}
    return own.get(f"{FAILED}-replayed", own.get(FAILED))
