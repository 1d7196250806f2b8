"""Heads on images that they were not trained on, of another data set (DeGrave, Janizek and Lee 2021)."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.audits.audit import Audit
from deepcovid.audits.enough import by_net
from deepcovid.audits.parts import Part, across, contrasts, parts_of
from deepcovid.audits.reliability import CALIBRATED, Curves, calibrated
from deepcovid.audits.unseen import LeftOut
from deepcovid.drawing.blocks import Block, drawn
from deepcovid.drawing.marks import BLUE, ORANGE, PINK, Row, reach, rows_of_dots
from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import WIDTH, styled
from deepcovid.drawing.tables import Table, rate, spread
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.nets.zoo import title_of
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS, Bootstrap
from deepcovid.statistics.calibration import Calibration, calibration
from deepcovid.statistics.estimate import Estimate, Headline
from deepcovid.statistics.rates import Mask, RunResult, evaluate, headline

PLACES = {"inside": BLUE, "outside": ORANGE, "collection": PINK}


class ExternalRun(Strict):
    """What the heads of one net and recipe reach on other people's images.

    Attributes:
        run: The numbers of all images, of the head that is shown for its own test images too.
        parts: By a name in plain words, those of some of its images alone, COVID-19 against the others, where there
            are FEWEST_PATIENTS on each side.
        across: The same across the collections: healthy images, and COVID-19 against findings that look like it.
        calibration: How well its scores are calibrated.
        inside: Its AUC on the test images of its own data set, as the stage evaluate has it.
        collection: The AUC with which its scores tell these images without COVID-19 from its own data
            set's, neither of which it should call covid. At 0.5 it does not see where an image comes from; near the
            AUC inside, that is all it needs to see.
    """

    run: RunResult
    parts: dict[str, Part]
    across: dict[str, Part]
    calibration: Calibration
    inside: Estimate
    collection: Estimate


class External(Audit):
    """What a data set's heads reach on the test images of another data set.

    Attributes:
        heads: The data set that the heads were trained on.
        images: The data set that they are tested on.
        recipe: The recipe that is told of.
        left_out: Images that were left out.
        nets: What each net reaches under each recipe, by their names.
    """

    PER_TEST_SET: ClassVar[bool] = True
    ABSENT: ClassVar[str] = "Not tested on other people's images: none is named in test_sets."

    heads: str
    images: str
    recipe: str
    left_out: LeftOut
    nets: dict[str, dict[str, ExternalRun]]

    @property
    def told(self) -> dict[str, ExternalRun]:
        """What each net reaches under the recipe that is told of."""
        return {model: recipes[self.recipe] for model, recipes in self.nets.items()}

    def headline(self) -> dict[str, Headline]:
        """Return the numbers of each net under the recipe that is told of."""
        return {model: headline(own.run) for model, own in self.told.items()}

    def calibrations(self) -> Curves:
        """Return how well each net is calibrated under the recipe that is told of."""
        return {self.images: {model: own.calibration for model, own in self.told.items()}}

    def sentences(self) -> Iterator[str]:
        """Yield what the nets reach, on all images, on parts of them, and across the collections."""
        told = self.told
        counts = next(iter(told.values())).run.n_test
        rates = "; ".join(
            f"{rate(own.run.sensitivity, 2)} and {rate(own.run.specificity, 2)} with {title_of(model)}"
            for model, own in told.items()
        )
        yield (
            f"The test set {self.images} has {counts.covid} COVID images and {counts.non} others, none of them known "
            "to be of a patient in training."
        )
        yield (
            f"On the images of {self.images} the pipeline's own heads reach "
            f"{by_net({model: own.run.auc for model, own in told.items()})}."
        )
        yield f"There, sensitivity and specificity at the cut-off are {rates}."
        yield f"On their own test images they reach {by_net({model: own.inside for model, own in told.items()})}."
        yield (
            f"Their scores tell images without COVID-19 of {self.images} from those of their own test set: AUC "
            f"{by_net({model: own.collection for model, own in told.items()})}."
        )
        first = next(iter(told.values()))
        for name, part in first.parts.items():
            areas = by_net({model: own.parts[name].auc for model, own in told.items()})
            yield f"{name[0].upper()}{name[1:]} ({part.images} against {part.others} images): AUC {areas}."
        for name, part in first.across.items():
            areas = by_net({model: own.across[name].auc for model, own in told.items()})
            called = "; ".join(
                f"{own.across[name].called} and {own.across[name].others_called} with {title_of(model)}"
                for model, own in told.items()
            )
            yield (
                f"{name[0].upper()}{name[1:]} ({part.images} against {part.others} images): AUC {areas}. Called COVID "
                f"are {called}."
            )

    def meaning(self, step: Step) -> Iterator[Block]:
        """Yield a figure with a net's AUC inside, outside and of the collection, the three that belong together."""
        told = self.told
        caption = (
            f"The heads of {self.heads} under the recipe “{title_of_recipe(self.recipe)}”. Bars are 95 % intervals, a "
            "bootstrap over patients, of the head that is the median one inside."
        )
        reading = (
            "Inside: COVID-19 against the rest on their own test images. Outside: the same on other people's images, "
            f"{self.images}. Collection: the images without COVID-19 of {self.images} against those of their own test "
            "set; a score of the disease would be near 0.5 here.",
        )
        alt = "AUC inside, outside and of the collection. " + "; ".join(
            f"{title_of(model)}: {own.inside.value:.3f}, {own.run.auc.value:.3f}, {own.collection.value:.3f}"
            for model, own in told.items()
        )
        rows = [
            (title_of(model), spread(own.inside), spread(own.run.auc), spread(own.collection))
            for model, own in told.items()
        ]
        numbers = Table(("net", *PLACES), rows)
        yield drawn(figure(told), f"meaning-{self.images}", alt, caption, (step,), numbers, reading)

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield a table with a row per net and recipe."""
        rows = [
            (
                self.images,
                title_of(model),
                title_of_recipe(recipe),
                f"{own.run.n_test.covid:,} / {own.run.n_test.non:,} ({self.left_out.images:,})",
                spread(own.run.auc),
                f"{own.run.cut_off:g}",
                rate(own.run.sensitivity),
                rate(own.run.specificity),
                *calibrated(own.calibration),
            )
            for model, recipes in self.nets.items()
            for recipe, own in recipes.items()
        ]
        header = ("images", "net", "recipe", "covid / non (left out)", "AUC (95 % interval)")
        table = Table((*header, "cut-off", "sensitivity", "specificity", *CALIBRATED), rows, names=3)
        caption = (
            f"The heads on the images of {self.images}. Left out are images of patients, and images, that they were "
            "trained on; not those on which a recipe that selects by accuracy chose its epoch. Rates are at "
            "the recipe's own cut-off."
        )
        yield Block(caption, (step,), table=table)
        yield Block(
            f"The images of {self.images} in parts, and across the collections, under the recipe "
            f"“{title_of_recipe(self.recipe)}”. AP Supine counts as AP. A part with fewer than {FEWEST_PATIENTS} "
            "patients on a side is left out.",
            (step,),
            table=Table(
                ("net", "what", "against", "AUC (95 % interval)", "called COVID", "of the others"),
                [
                    (
                        title_of(model),
                        name,
                        f"{part.images:,} / {part.others:,}",
                        spread(part.auc),
                        f"{part.called:,}",
                        f"{part.others_called:,}",
                    )
                    for model, own in self.told.items()
                    for name, part in (own.parts | own.across).items()
                ],
                names=2,
            ),
        )


@styled
def figure(told: Mapping[str, ExternalRun]) -> Figure:
    """Draw three rows a net: the AUC inside, outside and of the collection."""
    areas = {model: (own.inside, own.run.auc, own.collection) for model, own in told.items()}
    drawing = Figure(figsize=(WIDTH, 0.72 * len(told) + 1.0), layout="constrained")
    axis = drawing.subplots()
    rows = [
        Row(4 * number + place, f"{title_of(model)}, {name}" if place == 0 else name, area, colour)
        for number, (model, own) in enumerate(areas.items())
        for place, (area, (name, colour)) in enumerate(zip(own, PLACES.items(), strict=True))
    ]
    rows_of_dots(axis, rows, 0.5)
    axis.set(xlabel="AUC, 95 % interval", xlim=reach(row.estimate for row in rows))
    return drawing


class Collections:
    """The images without COVID-19 of the test set and of the heads' own data set, which scores may tell apart."""

    def __init__(self, rows: pd.DataFrame, own: pd.DataFrame, settings: EvaluateSettings) -> None:
        """Take catalogue rows of the test set, and the heads' own test images as a score table has them."""
        self._others, self._own_others = ((~catalogue.covid(part)).to_numpy() for part in (rows, own))
        elsewhere = np.repeat([True, False], [self._others.sum(), self._own_others.sum()])
        patients = pd.concat([rows["patient_id"][self._others], own["patient_id"][self._own_others]])
        self._bootstrap = Bootstrap.over_patients(elsewhere, patients, settings)

    def told_apart(self, scores: NDArray[np.float64], own: NDArray[np.float64]) -> Estimate:
        """Return the AUC with which scores (images) of the test set and of its `own` (images) tell the two apart."""
        return self._bootstrap.auc_estimate(np.concatenate([scores[self._others], own[self._own_others]]))


class Outside:
    """The test set's images, all of them, in parts, and beside the heads' own, with bootstraps that serve all heads.

    Attributes:
        bootstrap: That of all of them.
    """

    def __init__(self, rows: pd.DataFrame, own: pd.DataFrame, at_home: Mask, settings: EvaluateSettings) -> None:
        """Take the images.

        Args:
            rows: Catalogue rows of the test set.
            own: The heads' own test images as a score table has them, and their finding.
            at_home: (images of the test set), which are among these too.
            settings: Samples and seed of the bootstraps.
        """
        self.bootstrap = Bootstrap.of(rows, settings)
        self._parts = contrasts(parts_of(rows, at_home), rows, settings)
        both = pd.concat([rows, own], ignore_index=True)[["image_id", "patient_id", "label", "finding"]]
        self._across = contrasts(across(both, np.arange(len(both)) < len(rows)), both, settings)

    def reached(
        self,
        scores: NDArray[np.float64],
        own: NDArray[np.float64],
        shown: int,
        cut_off: float,
        bins: int,
        inside: Estimate,
        collection: Estimate,
    ) -> ExternalRun:
        """Return what one recipe's heads reach.

        Args:
            scores: (images, heads), P(covid).
            own: (own test images), P(covid) of the head that is shown.
            shown: Which head's numbers are shown.
            cut_off: An image is called covid from this score on.
            bins: How many bins the reliability curve has.
            inside: What this head reaches on its own data set.
            collection: How well it tells the collections apart.
        """
        score, both = scores[:, shown], np.concatenate([scores[:, shown], own])
        return ExternalRun(
            run=evaluate(scores, self.bootstrap, cut_off, shown=shown),
            parts={name: part.reached(score, cut_off) for name, part in self._parts.items()},
            across={name: part.reached(both, cut_off) for name, part in self._across.items()},
            calibration=calibration(score, self.bootstrap, bins),
            inside=inside,
            collection=collection,
        )
