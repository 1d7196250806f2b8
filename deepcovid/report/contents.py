"""What a report is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from deepcovid.drawing.steps import Sourced, Step
from deepcovid.nets.zoo import title_of
from deepcovid.statistics.rates import RunResult

# Recipes that the report's story is about; others are shown beside them.
FAILED, RELEASED, PAPER = "failed-reproduction", "released-code", "paper"


@dataclass(frozen=True)
class Run:
    """One net under one recipe.

    Attributes:
        model: A key of NETS.
        recipe: Its name; each is of a head on frozen features or of a whole net.
        replayed: True where the whole net was trained as the released script does, false for a head on frozen features.
        cut_off: An image is called covid from this score on.
        metrics: The run's numbers.
        scores: A row per test image: label, group, patient_id, and a column per head, P(covid).
        log: A row per head and epoch: seed, epoch, loss, train_accuracy, test_accuracy, test_auc.
        evaluated: The step that made metrics.
        trained: The step that made scores and log.
    """

    model: str
    recipe: str
    replayed: bool
    cut_off: float
    metrics: RunResult
    scores: pd.DataFrame
    log: pd.DataFrame
    evaluated: Step
    trained: Step

    @property
    def net(self) -> str:
        """The net's name as the paper has it."""
        return title_of(self.model)

    @property
    def score(self) -> pd.Series:
        """(images), P(covid) of the first seed."""
        return self.scores[next(name for name in self.scores.columns if str(name).startswith("seed_"))]


@dataclass(frozen=True)
class Contents:
    """Everything on the page.

    Attributes:
        dataset: Name of the data set.
        synthetic: True where the images were drawn, so that the numbers say nothing about COVID-19.
        runs: One per net and recipe, in the order in which they are to be shown; replayed ones among them.
        bootstrap: Samples and seed for the bands of the ROC curves.
        findings: Sentences that the ladder's table says.
        ladder: By net, what deepcovid.ladder.measured returns; a net may be missing.
        published: As deepcovid.statistics.comparison.beside_published returns it.
        nets: As deepcovid.statistics.comparison.between_nets returns it.
        nets_sentence: What the comparison of the nets says.
        audits: By name, what the audits found: leakage, acquisition, baselines, hidden, calibration, the verdict
            `audit`, and `external-...` for each net on each set of other people's images. Empty where none was run.
        heatmaps: By net, what stages.localisation measured; empty where no heat maps were made.
        heatmap_pictures: By net, a PNG file: of synthetic images with their maps, or of mean maps without an image.
        provenance: By name, what is recorded of data and weights.
        parameters: Of the data set and of the shared settings, nested.
        recipes: By name, the settings of each recipe, nested.
        steps: Every step whose products are on the page, and those before it, in the order of the pipeline.
        command: What makes this page.
    """

    dataset: str
    synthetic: bool
    runs: tuple[Run, ...]
    bootstrap: tuple[int, int]
    provenance: Mapping[str, Sourced]
    parameters: Mapping[str, Any]
    recipes: Mapping[str, Mapping[str, Any]]
    steps: tuple[Step, ...]
    command: str
    findings: tuple[str, ...] = ()
    ladder: Sourced | None = None
    published: Sourced | None = None
    nets: Sourced | None = None
    nets_sentence: str = ""
    audits: Mapping[str, Sourced] = field(default_factory=dict)
    heatmaps: Mapping[str, Sourced] = field(default_factory=dict)
    heatmap_pictures: Mapping[str, Sourced] = field(default_factory=dict)
    models: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", tuple(dict.fromkeys(run.model for run in self.runs)))

    @property
    def main_model(self) -> str:
        """ResNet18, the net of the failed reproduction, or the first net where it was not run."""
        return "resnet18" if "resnet18" in self.models else self.models[0]

    def of(self, recipe: str) -> tuple[Run, ...]:
        """Return the runs under a recipe, one per net."""
        return tuple(run for run in self.runs if run.recipe == recipe)

    def of_model(self, model: str) -> tuple[Run, ...]:
        """Return a net's runs in the order of the story: from the failure to the paper's recipe, others last.

        A recipe whose name begins with another's stands beside it.
        """
        own = [run for run in self.runs if run.model == model]
        return tuple(
            sorted(own, key=lambda run: [not run.recipe.startswith(told) for told in (FAILED, RELEASED, PAPER)])
        )
