"""What one needs to know to reach which AUC: what several audits tried, side by side."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepcovid.drawing.blocks import Block, drawn
from deepcovid.drawing.marks import BLUE, GREEN, ORANGE, PINK, RED, Row, reach, rows_of_dots
from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import WIDTH, styled
from deepcovid.drawing.tables import Table, spread
from deepcovid.nets.zoo import title_of
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Estimate

PIPELINE, WITHOUT = "pipeline", "never saw COVID-19"
# The kinds of ways: their colours, and what they may know.
KINDS = {
    PIPELINE: (BLUE, "the pipeline's heads"),
    "untrained": (PINK, "the same heads on a net of random weights"),
    WITHOUT: (RED, "heads that learned other images of the COVID-19 images' collection"),
    "hand-made": (GREEN, "a few numbers of the image"),
    "acquisition": (ORANGE, "how the image was taken, and of whom"),
}


@dataclass(frozen=True)
class Way:
    """A way to tell the classes apart, and how well it works.

    Attributes:
        title: What is known of an image, in plain words.
        kind: A key of KINDS.
        auc: The AUC that it reaches; the interval is a bootstrap over patients.
        numbers: How many numbers stand for an image, where that says something.
        known: Number of images of which it is known, where that is not all of them.
        model: The net, for a way of the kind PIPELINE.
    """

    title: str
    kind: str
    auc: Estimate
    numbers: int | None = None
    known: Counts | None = None
    model: str = ""

    @property
    def label(self) -> str:
        """The title, with how many images it is known of where that is not all."""
        return f"{self.title} ({self.known.covid:,} / {self.known.non:,} known)" if self.known else self.title


def highest_first(ways: Iterable[Way]) -> list[Way]:
    """Return the ways by falling AUC."""
    return sorted(ways, key=lambda way: -way.auc.value)


def by_net(areas: Mapping[str, Estimate]) -> str:
    """Return the AUCs of several nets in words."""
    return "; ".join(f"{spread(area)} with {title_of(model)}" for model, area in areas.items())


def block(ways: Sequence[Way], steps: tuple[Step, ...]) -> Block:
    """Return the opening figure of the audits, with its table."""
    caption = (
        "What one needs to know to reach which AUC, fitted on the training images and tested on the test images. Bars "
        "are 95 % intervals, a bootstrap over patients; nets show the median head."
    )
    reading = (
        "Heads that never saw COVID-19 learned images of a test set in its place. Saved alike: large images were "
        "reduced to one short side, smaller ones left, and all saved as JPEG.",
    )
    alt = "What is enough for which AUC. " + "; ".join(f"{way.title}: {way.auc.value:.3f}" for way in ways)
    return drawn(figure(ways), "audit-enough", alt, caption, steps, table(ways), reading)


def table(ways: Sequence[Way]) -> Table:
    """Return a row per way, with its AUC."""
    rows = [(way.label, way.kind, f"{way.numbers or ''}", spread(way.auc)) for way in ways]
    return Table(("what is known", "kind", "numbers per image", "AUC (95 % interval)"), rows, names=2)


@styled
def figure(ways: Sequence[Way]) -> Figure:
    """Draw a row per way, in the order given."""
    drawing = Figure(figsize=(WIDTH, 0.235 * len(ways) + 0.95), layout="constrained")
    axis = drawing.subplots()
    rows = [Row(place, way.label, way.auc, KINDS[way.kind][0]) for place, way in enumerate(ways)]
    rows_of_dots(axis, rows, 0.5)
    axis.set(xlabel="AUC, 95 % interval", xlim=reach(way.auc for way in ways))
    shown = [kind for kind in KINDS if any(way.kind == kind for way in ways)]
    handles = [Line2D([], [], marker="o", color=KINDS[kind][0], label=KINDS[kind][1]) for kind in shown]
    drawing.legend(handles=handles, loc="outside upper left", ncols=2, fontsize=8)
    return drawing
