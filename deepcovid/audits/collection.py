"""How far one gets without COVID-19: heads that learn another collection instead of the disease.

The COVID-19 images come from one collection and the others from another. Here heads learn images *without* COVID-19 of
the first collection as if they were its COVID-19 images, and are then tested on the real ones. If they do as well as
heads that were trained on COVID-19, the collection is enough for that.

Beside it stands what can be had within the first collection: heads that are trained and tested there.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from deepcovid import catalogue
from deepcovid.audits.audit import AucOverSeeds, Audit
from deepcovid.audits.enough import Way
from deepcovid.audits.unseen import trained_on
from deepcovid.drawing.blocks import Block, drawn
from deepcovid.drawing.marks import BLUE, GREEN, ORANGE, PINK, dot, reach
from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import INK, WIDTH, styled
from deepcovid.drawing.tables import Table, signed, spread
from deepcovid.errors import UserError
from deepcovid.heads.scoring import median_head
from deepcovid.nets.zoo import title_of
from deepcovid.schema import Strict
from deepcovid.settings import EvaluateSettings, Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Headline
from deepcovid.statistics.intervals import percentile_interval

FEWEST = 10  # images of a class, from which heads are trained on them
FOLDS = 5  # of the cross-validation within the collection


class Detector(Strict):
    """Heads that learned images of one kind as COVID-19, tested on the real COVID-19 test images.

    Attributes:
        auc: Of the median head; the interval is a bootstrap over patients.
        over_seeds: How the AUC varies over the heads.
        less_than_covid: The AUC of heads that were trained on COVID-19, less this one, with its paired interval.
    """

    auc: Estimate
    over_seeds: AucOverSeeds
    less_than_covid: Estimate


class OfNet(Strict):
    """What the heads of one net reach.

    Attributes:
        covid: Trained on the COVID-19 originals.
        collection: Trained on the images without COVID-19 of the same collection in their place.
        healthy: Trained on those of them without any finding; None where there are too few.
        within: AUC of heads that are trained and tested within the collection, COVID-19 against the rest, by
            cross-validation over patients. None where there are too few images.
    """

    covid: Detector
    collection: Detector
    healthy: Detector | None = None
    within: Estimate | None = None


class Collection(Audit):
    """Heads that never saw COVID-19, on the data set's own COVID-19 test images.

    Attributes:
        heads: The data set that the heads are tested on.
        images: The test set whose images without COVID-19 are learned in place of COVID-19.
        recipe: Recipe of the heads, without augmented copies.
        learned: How many of these images there are.
        healthy: How many of them have no finding.
        left_out: How many were left out: their patients have images with COVID-19 too, or are in the data set itself.
        nets: By net, what is reached; none where there are too few images.
    """

    PER_TEST_SET = True

    heads: str
    images: str
    recipe: str
    learned: int
    healthy: int
    left_out: int
    nets: dict[str, OfNet]

    def headline(self) -> dict[str, Headline]:
        """Return the AUC of each net's heads that never saw COVID-19."""
        found = {model: own.collection.auc for model, own in self.nets.items()}
        return {model: Headline(auc=auc.value, auc_low=auc.low, auc_high=auc.high) for model, auc in found.items()}

    def sentences(self) -> Iterator[str]:
        """Yield what heads reach that never saw COVID-19, a sentence a net, and what can be had in the collection."""
        if not self.nets:
            yield (
                f"Heads that never saw COVID-19 were not trained: {self.images} has {self.learned} usable images "
                f"without it, and {FEWEST} are needed."
            )
            return
        yield (
            f"Heads that never saw COVID-19 were trained on {self.learned} images without it of {self.images} in its "
            f"place, and tested on the COVID-19 test images of {self.heads}."
        )
        for model, own in self.nets.items():
            yield (
                f"{title_of(model)} then reaches an AUC of {spread(own.collection.auc)}; trained on the COVID-19 "
                f"originals, {spread(own.covid.auc)}. The difference is {signed(own.collection.less_than_covid)}."
            )
        for model, own in self.nets.items():
            if own.within:
                yield (
                    f"Heads of {title_of(model)} that are trained and tested within {self.images} reach "
                    f"{spread(own.within)} there: COVID-19 against the rest, cross-validated by patient."
                )

    def meaning(self, step: Step) -> Iterator[Block]:
        """Yield a figure of what each net reaches, trained on COVID-19 and without."""
        if not self.nets:
            return
        caption = (
            f"A COVID-19 detector that never saw COVID-19. Rows are heads under the recipe {self.recipe}, tested on "
            f"the COVID-19 test images of {self.heads}. They learned COVID-19; or the {self.learned} images of "
            f"{self.images} without it, in its place; or the {self.healthy} of these without any finding. The last row "
            "is another question: COVID-19 against the rest within the collection, trained and tested there. Bars are "
            "95 % intervals over patients, of the median head."
        )
        rows = [
            (title_of(model), *(spread(area) if area else "" for area in _areas(own)))
            for model, own in self.nets.items()
        ]
        alt = "AUC of heads with and without COVID-19. " + "; ".join(
            f"{title_of(model)}: {own.covid.auc.value:.3f} with, {own.collection.auc.value:.3f} without"
            for model, own in self.nets.items()
        )
        table = Table(("net", *ROWS), rows)
        yield drawn(figure(self.nets), f"collection-{self.images}", alt, caption, (step,), table)

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield nothing: all that there is stands near the top of the page."""
        return iter(())

    def ways(self) -> Iterator[Way]:
        """Yield the heads that never saw COVID-19."""
        for model, own in self.nets.items():
            yield Way(f"{title_of(model)}, trained without COVID-19", "without", own.collection.auc)


ROWS = {
    "trained on COVID-19": BLUE,
    "on the same collection without it": PINK,
    "on its healthy images": ORANGE,
    "within the collection": GREEN,
}


def _areas(own: OfNet) -> tuple[Estimate | None, ...]:
    """Return what a net reaches, in the order of ROWS."""
    return own.covid.auc, own.collection.auc, own.healthy.auc if own.healthy else None, own.within


@styled
def figure(nets: Mapping[str, OfNet]) -> Figure:
    """Draw four rows a net: ROWS."""
    drawing = Figure(figsize=(WIDTH, 0.92 * len(nets) + 0.8), layout="constrained")
    axis, labels = drawing.subplots(), []
    for number, (model, own) in enumerate(nets.items()):
        for place, (area, (name, colour)) in enumerate(zip(_areas(own), ROWS.items(), strict=True)):
            row = 5 * number + place
            labels.append((row, f"{title_of(model)}, {name}" if place == 0 else name))
            if area:
                dot(axis, area, row, colour)
                where = axis.get_yaxis_transform()
                axis.text(1.01, row, f"{area.value:.3f}", va="center", fontsize=7.5, transform=where)
    axis.axvline(0.5, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
    axis.set_yticks([row for row, _ in labels], [label for _, label in labels])
    limits = reach(area for own in nets.values() for area in _areas(own) if area)
    axis.set(ylim=(5 * len(nets) - 1.4, -0.6), xlabel="AUC, 95 % interval", xlim=limits)
    axis.tick_params(left=False)
    axis.spines["left"].set_visible(False)
    return drawing


class Learned(NamedTuple):
    """Images that are learned in place of COVID-19.

    Attributes:
        rows: (images of the test set), which of them.
        left_out: How many without COVID-19 are not among them.
    """

    rows: NDArray[np.bool_]
    left_out: int


def learned(test_set: pd.DataFrame, own: pd.DataFrame) -> Learned:
    """Return which images of a test set can be learned in place of COVID-19.

    They have no COVID-19, and neither has any other image of their patient; and they are not of the data set itself.

    Args:
        test_set: Catalogue rows of the test set.
        own: The catalogue of the data set.
    """
    covid, patient = catalogue.covid(test_set), catalogue.patients(test_set)
    ill = patient.isin(patient[covid])
    usable = ~ill & ~trained_on(test_set, own).any(axis=1)
    return Learned(usable.to_numpy(), int((~covid & ~usable).sum()))


def collection_of_net(
    own: tuple[pd.DataFrame, NDArray[np.float32]],
    other: tuple[pd.DataFrame, NDArray[np.float32]],
    positives: NDArray[np.bool_],
    recipe: Recipe,
    seeds: list[int],
    settings: EvaluateSettings,
) -> OfNet:
    """Return what heads of one net reach that learn the collection in place of COVID-19.

    Args:
        own: The catalogue of the data set with its split (images), and their features (images, features).
        other: The same of the test set.
        positives: (images of the test set), what is learned in place of COVID-19.
        recipe: Recipe of the heads; augmented copies are left out.
        seeds: A head is trained for each.
        settings: Samples and seed of the bootstrap.
    """
    from deepcovid.heads.sweep import score_each

    (table, _), (rows, their_features) = own, other
    recipe = recipe.model_copy(update={"augmented": False})
    healthy = positives & (rows["finding"] == catalogue.NORMAL).to_numpy()
    works = [own, _in_place(own, other, positives)]
    if healthy.sum() >= FEWEST:
        works.append(_in_place(own, other, healthy))
    parts = folds(rows)
    works += [(rows.assign(split=np.where(part, "test", "train")), their_features) for part in parts]
    scores = score_each([(values, split) for split, values in works], recipe, seeds)

    bootstrap = Bootstrap.of(table[catalogue.in_test(table)], settings)
    shown = [part[:, median_head(part, bootstrap.positive)] for part in scores[: len(works) - len(parts)]]
    draws = [bootstrap.auc(score) for score in shown]
    areas = [bootstrap.area(score) for score in shown]
    detectors = [
        Detector(
            auc=bootstrap.with_interval(area, drawn_areas),
            over_seeds=AucOverSeeds.of([bootstrap.area(head) for head in part.T]),
            less_than_covid=Estimate.of(areas[0] - area, percentile_interval(draws[0] - drawn_areas)),
        )
        for area, drawn_areas, part in zip(areas, draws, scores, strict=False)
    ]
    return OfNet(
        covid=detectors[0],
        collection=detectors[1],
        healthy=detectors[2] if len(detectors) > 2 else None,
        within=_within(rows, parts, scores[len(shown) :], settings) if parts else None,
    )


def folds(rows: pd.DataFrame) -> list[NDArray[np.bool_]]:
    """Return the test images of each fold of the cross-validation, (images); none if a class has too few patients."""
    covid, patient = catalogue.covid(rows).to_numpy(), catalogue.patients(rows).to_numpy()
    if min(len(set(patient[covid])), len(set(patient[~covid]))) < max(FEWEST, FOLDS):
        return []
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    numbers = np.arange(len(rows))
    return [np.isin(numbers, test) for _, test in splitter.split(rows, covid, patient)]


def _in_place(
    own: tuple[pd.DataFrame, NDArray[np.float32]],
    other: tuple[pd.DataFrame, NDArray[np.float32]],
    positives: NDArray[np.bool_],
) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Return the data set with images of the other in place of its COVID-19 training images."""
    (table, features), (rows, their_features) = own, other
    kept = ~(catalogue.covid(table) & (table["split"] == "train")).to_numpy()
    taken = rows[positives].assign(label="covid", split="train")
    joined = pd.concat([table[kept], taken], ignore_index=True)
    return joined, np.concatenate([features[kept], their_features[positives]])


def _within(
    rows: pd.DataFrame, parts: list[NDArray[np.bool_]], scores: list[NDArray[np.float64]], settings: EvaluateSettings
) -> Estimate:
    """Return the AUC of the scores that each image was given by heads that had not seen its patient."""
    joined = np.empty((len(rows), scores[0].shape[1]))
    for part, own in zip(parts, scores, strict=True):
        joined[part] = own
    bootstrap = Bootstrap.of(rows, settings)
    return bootstrap.auc_estimate(joined[:, median_head(joined, bootstrap.positive)])


def check(rows: pd.DataFrame, origin: str) -> None:
    """Raise UserError if the test set has no image without COVID-19, from which the collection could be learned."""
    if catalogue.covid(rows).all():
        raise UserError(f"{origin}: every image has COVID-19; name a test set with images of other findings")
