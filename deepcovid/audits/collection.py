"""How far one gets without COVID-19: heads that learn another collection instead of the disease.

The COVID-19 images come from one collection and the others from another. Here heads learn images *without* COVID-19 of
the first collection as if they were its COVID-19 images, and are then tested on the real ones.

Many of these images show other diseases of the lung. As a control, heads learn such findings of the *other* collection
in the same way. If these do not find COVID-19 and the first ones do, the collection is enough and the illness is not.

For comparison, other heads are trained and tested within the first collection.
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
from deepcovid.audits.enough import WITHOUT, Way
from deepcovid.audits.parts import LIKE_COVID
from deepcovid.audits.unseen import trained_on
from deepcovid.drawing.blocks import Block, drawn
from deepcovid.drawing.marks import BLUE, GREEN, ORANGE, PINK, Row, reach, rows_of_dots
from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import INK, WIDTH, styled
from deepcovid.drawing.tables import Table, signed, spread
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.errors import UserError
from deepcovid.heads.scoring import median_head
from deepcovid.nets.zoo import title_of
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS, Bootstrap
from deepcovid.statistics.estimate import Estimate, Headline
from deepcovid.statistics.intervals import percentile_interval

FOLDS = 5  # of the cross-validation within the collection


class Detector(Strict):
    """Heads that learned images of one kind as COVID-19, tested on the real COVID-19 test images.

    Attributes:
        auc: AUC of the median head; the interval is a bootstrap over patients.
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
        similar: The control: trained on findings of the other collection that look like COVID-19 (LIKE_COVID). None
            where there are too few.
        within: AUC of heads that are trained and tested within the collection, COVID-19 against the rest, by
            cross-validation over patients. None where there are too few images.
    """

    covid: Detector
    collection: Detector
    healthy: Detector | None = None
    similar: Detector | None = None
    within: Estimate | None = None


class Collection(Audit):
    """Heads that never saw COVID-19, on the data set's own COVID-19 test images.

    Attributes:
        heads: The data set that the heads are tested on.
        images: The test set whose images without COVID-19 are learned in place of COVID-19.
        recipe: Recipe of the heads, without augmented copies.
        learned: How many of these images there are.
        healthy: How many of them have no finding.
        similar: How many images of the data set have a finding that looks like COVID-19, for the control.
        left_out: How many were left out: their patients have images with COVID-19 too, or are in the data set itself.
        nets: What each net reaches, under its name; none where there are too few images.
    """

    PER_TEST_SET = True

    heads: str
    images: str
    recipe: str
    learned: int
    healthy: int
    similar: int
    left_out: int
    nets: dict[str, OfNet]

    def headline(self) -> dict[str, Headline]:
        """Return the AUC of each net's heads that never saw COVID-19."""
        found = {model: own.collection.auc for model, own in self.nets.items()}
        return {model: Headline.of(auc) for model, auc in found.items()}

    def sentences(self) -> Iterator[str]:
        """Yield what heads reach that never saw COVID-19, a sentence a net, and what can be had in the collection."""
        if not self.nets:
            yield (
                f"Heads that never saw COVID-19 were not trained: {self.images} has {self.learned} usable images "
                f"without it, of fewer than {FEWEST_PATIENTS} patients."
            )
            return
        yield (
            f"Heads that never saw COVID-19 were trained on {self.learned} images without it of {self.images} in its "
            f"place; {self.healthy} of them have no finding. They were tested on the COVID-19 test images of "
            f"{self.heads}."
        )
        for model, own in self.nets.items():
            yield (
                f"{title_of(model)} then reaches an AUC of {spread(own.collection.auc)}; trained on the COVID-19 "
                f"originals, {spread(own.covid.auc)}. The difference is {signed(own.collection.less_than_covid)}."
            )
        for model, own in self.nets.items():
            if own.similar:
                yield (
                    f"As a control, {title_of(model)} learned findings of {self.heads} itself that look like COVID-19 "
                    f"({self.similar} images) in its place: it reaches {spread(own.similar.auc)}."
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
        shown = [place for place, _ in enumerate(ROWS) if any(_areas(own)[place] for own in self.nets.values())]
        caption = (
            f"A COVID-19 detector that never saw COVID-19. Rows are heads under the recipe "
            f"“{title_of_recipe(self.recipe)}”, tested on the COVID-19 test images of {self.heads}. Bars are 95 % "
            "intervals over patients, of the median head."
        )
        reading = (
            f"The first heads learned COVID-19. Others learned the {self.learned} images of {self.images} without it "
            f"in its place, or the {self.healthy} healthy ones of these. As a control, others learned {self.similar} "
            f"images of {self.heads} itself with similar findings. Groups of fewer than {FEWEST_PATIENTS} "
            "patients are left out.",
            f"Within the collection is another question: COVID-19 against the rest of {self.images}, trained and "
            "tested there.",
        )
        rows = [
            (title_of(model), *(spread(area) if area else "" for area in (_areas(own)[place] for place in shown)))
            for model, own in self.nets.items()
        ]
        alt = "AUC of heads with and without COVID-19. " + "; ".join(
            f"{title_of(model)}: {own.covid.auc.value:.3f} with, {own.collection.auc.value:.3f} without"
            for model, own in self.nets.items()
        )
        table = Table(("net", *(list(ROWS)[place] for place in shown)), rows)
        yield drawn(figure(self.nets), f"collection-{self.images}", alt, caption, (step,), table, reading)

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield nothing: all that there is stands near the top of the page."""
        return iter(())

    def ways(self) -> Iterator[Way]:
        """Yield the heads that never saw COVID-19."""
        for model, own in self.nets.items():
            yield Way(f"{title_of(model)}, trained on {self.images} without COVID-19", WITHOUT, own.collection.auc)


ROWS = {
    "trained on COVID-19": BLUE,
    "on the same collection without it": PINK,
    "on its healthy images": ORANGE,
    "on similar findings of the other collection": INK,
    "within the collection": GREEN,
}


def _areas(own: OfNet) -> tuple[Estimate | None, ...]:
    """Return what a net reaches, in the order of ROWS."""
    healthy, similar = (part.auc if part else None for part in (own.healthy, own.similar))
    return own.covid.auc, own.collection.auc, healthy, similar, own.within


@styled
def figure(nets: Mapping[str, OfNet]) -> Figure:
    """Draw the rows of ROWS for each net, where there is something in them."""
    rows: list[Row] = []
    place = 0
    for model, own in nets.items():
        shown = [(area, *row) for area, row in zip(_areas(own), ROWS.items(), strict=True) if area]
        for number, (area, name, colour) in enumerate(shown):
            rows.append(Row(place + number, name if number else f"{title_of(model)}, {name}", area, colour))
        place += len(shown) + 1
    drawing = Figure(figsize=(WIDTH, 0.2 * place + 0.8), layout="constrained")
    axis = drawing.subplots()
    rows_of_dots(axis, rows, 0.5)
    axis.set(xlabel="AUC, 95 % interval", xlim=reach(row.estimate for row in rows))
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
    seed: int,
) -> OfNet:
    """Return what heads of one net reach that learn the collection in place of COVID-19.

    Args:
        own: The catalogue of the data set with its split (images), and their features (images, features).
        other: The same of the test set.
        positives: (images of the test set), what is learned in place of COVID-19.
        recipe: Recipe of the heads; augmented copies are left out.
        seeds: A head is trained for each.
        settings: Samples and seed of the bootstrap.
        seed: Seed of the folds of the cross-validation.
    """
    from deepcovid.heads.sweep import score_each

    (table, _), (rows, their_features) = own, other
    recipe = recipe.model_copy(update={"augmented": False})
    learn = {
        "covid": own,
        "collection": _in_place(own, other, positives),
        "healthy": _in_place(own, other, positives & healthy(rows)),
        "similar": _in_place(own, own, similar(table)),
    }
    usable = {name: work for name, work in learn.items() if name in ("covid", "collection") or _enough(work[0])}
    parts = folds(rows, seed)
    works = [
        *usable.values(),
        *((rows.assign(split=np.where(part, "test", "train")), their_features) for part in parts),
    ]
    scores = score_each([(values, split) for split, values in works], recipe, seeds)

    bootstrap = Bootstrap.of(table[catalogue.in_test(table)], settings)
    found = dict(zip(usable, scores, strict=False))
    shown = {name: part[:, median_head(part, bootstrap.positive)] for name, part in found.items()}
    draws = {name: bootstrap.auc(score) for name, score in shown.items()}
    areas = {name: bootstrap.area(score) for name, score in shown.items()}
    detectors = {
        name: Detector(
            auc=bootstrap.with_interval(areas[name], draws[name]),
            over_seeds=AucOverSeeds.of([bootstrap.area(head) for head in part.T]),
            less_than_covid=Estimate.of(
                areas["covid"] - areas[name], percentile_interval(draws["covid"] - draws[name])
            ),
        )
        for name, part in found.items()
    }
    within = _within(rows, parts, scores[len(usable) :], settings) if parts else None
    return OfNet(
        covid=detectors["covid"],
        collection=detectors["collection"],
        healthy=detectors.get("healthy"),
        similar=detectors.get("similar"),
        within=within,
    )


def healthy(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows of a catalogue have no finding, (images)."""
    return (rows["finding"] == catalogue.NORMAL).to_numpy()


def similar(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which training originals have a finding that looks like COVID-19, and is not, (images)."""
    like = table["finding"].isin(LIKE_COVID) & ~catalogue.covid(table)
    return (like & catalogue.in_training(table, augmented=False)).to_numpy()


def _enough(table: pd.DataFrame) -> bool:
    """Return whether there are training images of covid of FEWEST_PATIENTS."""
    trained = catalogue.covid(table) & (table["split"] == "train")
    return bool(catalogue.patients(table)[trained].nunique() >= FEWEST_PATIENTS)


def folds(rows: pd.DataFrame, seed: int) -> list[NDArray[np.bool_]]:
    """Return the test images of each fold of the cross-validation, (images); none if a class has too few patients."""
    covid, patient = catalogue.covid(rows).to_numpy(), catalogue.patients(rows).to_numpy()
    if min(len(set(patient[covid])), len(set(patient[~covid]))) < FEWEST_PATIENTS:
        return []
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
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
    if rows is table:
        kept &= ~positives
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
