"""The same heads on changed images: what a score uses, not what would suffice.

Other audits train heads on changed images and show what is enough. Here the heads stay as they are, and the images that
they are tested on are changed. How far the log-odds of COVID-19 then move is what the heads make of it. What is cut and
pasted leaves a seam and may not fit, so that the same is done with the frame of another COVID-19 patient.

On phantoms each image is drawn again without its lesions, and processed as the other collection does. That splits each
score into a part of the disease and a part of the collection, which add up.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from deepcovid.audits.audit import Audit
from deepcovid.drawing.blocks import Block, drawn
from deepcovid.drawing.marks import BLUE, ORANGE, Row, rows_of_dots
from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import WIDTH, styled
from deepcovid.drawing.tables import Table, signed
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.nets.zoo import title_of
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS, mean_by_patient
from deepcovid.statistics.estimate import Estimate, Headline, Number

Numbers = NDArray[np.float64]
LOG_ODDS_DIGITS = 2  # decimals
OTHER_FRAME = "COVID-19, the middle kept, the frame of another"  # the change of the headline
# Its control: as much is cut and pasted.
LIKE_FRAME = "COVID-19, the middle kept, the frame of another COVID-19 patient"


class Shift(Strict):
    """What one change does to the score of some images.

    Attributes:
        images: How many images were changed.
        patients: Number of their patients.
        before: The mean log-odds of COVID-19 of the images as they are.
        change: By how much it moves, on average; the interval is a bootstrap over patients. None where there are fewer
            than FEWEST_PATIENTS.
        called_before: How many are called covid as they are.
        called: How many once they are changed.
    """

    images: int
    patients: int
    before: Number
    change: Estimate | None = None
    called_before: int
    called: int


class Parts(Strict):
    """What of the log-odds of phantoms with COVID-19 is of the disease, and what of the collection.

    Each is the mean over the two orders in which they can be taken away, so that they add up to the whole.

    Attributes:
        images: How many images there are.
        whole: The log-odds as they are, less those without lesions and processed as the other collection.
        disease: What of it the lesions make.
        collection: What the processing makes.
    """

    images: int
    whole: Estimate
    disease: Estimate
    collection: Estimate


class OfNet(Strict):
    """What changes do to the scores of one net.

    Attributes:
        shifts: What each change does, under the change in plain words.
        parts: How much is of the disease and of the collection; None where they are not known.
    """

    shifts: dict[str, Shift]
    parts: Parts | None = None


class Changed(Audit):
    """What the heads make of changed images.

    Attributes:
        recipe: Recipe of the heads.
        nets: What the changes do to each net, under its name.
        skipped: Why there are no nets, where there are none.
    """

    recipe: str
    nets: dict[str, OfNet]
    skipped: str | None = None

    def headline(self) -> dict[str, Headline]:
        """Return how many COVID-19 images each net still finds in the frame of another."""
        told = {model: own.shifts[OTHER_FRAME] for model, own in self.nets.items()}
        return {
            model: Headline(sensitivity=one.called / one.images, tp=one.called, fn=one.images - one.called)
            for model, one in told.items()
        }

    def sentences(self) -> Iterator[str]:
        """Yield the parts of the score where they are known, and what another frame does, beside its control."""
        for model, own in self.nets.items():
            if own.parts:
                parts = own.parts
                whole, disease, collection = (
                    signed(part, LOG_ODDS_DIGITS) for part in (parts.whole, parts.disease, parts.collection)
                )
                yield (
                    f"{title_of(model)} gives {parts.images} COVID-19 test images {whole} more log-odds than the same "
                    "chests without lesions and in the other collection. Of this, the lesions make "
                    f"{disease} and the collection {collection}."
                )
            if OTHER_FRAME in own.shifts and LIKE_FRAME in own.shifts:
                other, like = own.shifts[OTHER_FRAME], own.shifts[LIKE_FRAME]
                yield (
                    f"Of {other.images} COVID-19 test images {title_of(model)} calls {other.called_before} COVID. With "
                    f"their middle in the frame of another COVID-19 patient it calls {like.called}; in the frame of "
                    f"an image without COVID-19, {other.called}."
                )

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield a figure a net of what each change does."""
        if self.skipped:
            yield Block(f"The same heads on changed images: not run; {self.skipped}.", (step,))
        for model, own in self.nets.items():
            caption = (
                f"The same heads on changed images: {title_of(model)} under the recipe "
                f"“{title_of_recipe(self.recipe)}”. A dot is by how much the log-odds of COVID-19 move on average, its "
                "bar the 95 % interval over patients."
            )
            reading = (
                "An image is called COVID from log-odds on that belong to the cut-off. A seam can move a score by "
                "itself: compare the frame of another with that of another COVID-19 patient.",
            )
            alt = f"Change of log-odds of {title_of(model)}. " + "; ".join(
                f"{name}: {shift.change.value:+.2f}" for name, shift in own.shifts.items() if shift.change
            )
            rows = [
                (
                    name,
                    f"{shift.images} of {shift.patients}",
                    f"{shift.before:+.2f}",
                    signed(shift.change, LOG_ODDS_DIGITS) if shift.change else f"fewer than {FEWEST_PATIENTS} patients",
                    f"{shift.called_before} to {shift.called}",
                )
                for name, shift in own.shifts.items()
            ]
            header = ("change", "images of patients", "log-odds before", "change (95 % interval)", "called COVID")
            yield drawn(figure(own), f"changed-{model}", alt, caption, (step,), Table(header, rows), reading)


@styled
def figure(own: OfNet) -> Figure:
    """Draw a row per change, and the parts below where they are known."""
    shown = {name: shift.change for name, shift in own.shifts.items() if shift.change}
    if own.parts:
        shown |= {"of the disease": own.parts.disease, "of the collection": own.parts.collection}
    drawing = Figure(figsize=(WIDTH, 0.28 * len(shown) + 0.9), layout="constrained")
    axis = drawing.subplots()
    rows = [
        Row(place, name, change, BLUE if name in own.shifts else ORANGE)
        for place, (name, change) in enumerate(shown.items())
    ]
    rows_of_dots(axis, rows, 0, "+.2f")
    axis.set_xlabel("change of the log-odds of COVID-19, 95 % interval")
    return drawing


def shift(before: Numbers, after: Numbers, patient: pd.Series, threshold: float, settings: EvaluateSettings) -> Shift:
    """Return what a change does to the log-odds of images.

    Args:
        before: (images), log-odds of the images as they are.
        after: (images), of the changed images.
        patient: (images), who each is of, none blank.
        threshold: From these log-odds on an image is called covid.
        settings: Number and seed of the bootstrap samples.
    """
    change = mean_by_patient(after - before, patient, settings)
    return Shift(
        images=len(before),
        patients=patient.nunique(),
        before=float(before.mean()),
        change=change if isinstance(change, Estimate) else None,
        called_before=int((before >= threshold).sum()),
        called=int((after >= threshold).sum()),
    )


def parts(
    log_odds: Mapping[tuple[bool, bool], Numbers], patient: pd.Series, settings: EvaluateSettings
) -> Parts | None:
    """Return what of log-odds is of the disease and what of the collection; None for fewer than FEWEST_PATIENTS.

    Args:
        log_odds: (images) by whether the lesions are there, and whether the image is processed as its own collection.
        patient: (images), who each is of, none blank.
        settings: Number and seed of the bootstrap samples.
    """
    both, ill, ours, neither = (log_odds[key] for key in ((True, True), (True, False), (False, True), (False, False)))
    disease, collection = ((both - ours) + (ill - neither)) / 2, ((both - ill) + (ours - neither)) / 2
    means = [mean_by_patient(values, patient, settings) for values in (both - neither, disease, collection)]
    found = [mean for mean in means if isinstance(mean, Estimate)]
    if len(found) < len(means):
        return None
    return Parts(images=len(both), whole=found[0], disease=found[1], collection=found[2])
