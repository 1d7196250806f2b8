"""What a recipe's heads still reach when the lungs are hidden, or when little but the lungs is shown.

The lungs lie in the middle of a frontal radiograph. Heads that tell the classes apart without the middle look at
something else than disease (Maguolo and Nanni 2021). Only `swept` needs torch, and imports it.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.audits.audit import AucOverSeeds, Audit, area
from deepcovid.audits.enough import by_net
from deepcovid.audits.hiding import SHUFFLED, WHOLE, Square, hide
from deepcovid.drawing.blocks import Block, drawn
from deepcovid.drawing.marks import NET_COLOURS, reach
from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import INK, WIDTH, styled
from deepcovid.drawing.tables import Table, signed, spanned, spread
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.errors import UserError
from deepcovid.heads.scoring import median_head
from deepcovid.nets.zoo import title_of
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.estimate import Estimate, Headline, Number
from deepcovid.statistics.intervals import percentile_interval

SHOWN = {"outside": "all but the square", "inside": "nothing but the square", "shuffled": "all pixels, shuffled"}
TITLES = {"outside": "The middle is black", "inside": "Nothing but the middle is shown"}
GREY, BLACK = "#9aa0a6", "#000000"  # what is left of an image and what is hidden, on a light page and on a dark one


class Reached(Strict):
    """What heads reach that are trained and tested with one square hidden, or with nothing else shown.

    Attributes:
        share: Side of the square, as a share of the image's.
        shows: What is left of an image: what is outside or inside the square, or its pixels, shuffled.
        auc: The AUC of the median head; the interval is a bootstrap over patients.
        over_seeds: How the AUC varies over the heads.
        less_than_whole: The AUC of the whole image less this one, with its paired interval.
        lesions_visible: The share of the lesions' area that is left to be seen, where lesions are known.
        lungs_visible: The same of the lungs.
    """

    share: Number
    shows: str
    auc: Estimate
    over_seeds: AucOverSeeds
    less_than_whole: Estimate
    lesions_visible: Number | None = None
    lungs_visible: Number | None = None

    def expected(self) -> Estimate:
        """Return the AUC on other people's images that shuffled images make one expect (Ong Ly et al. 2024)."""
        less = self.less_than_whole
        return Estimate(value=less.value + 0.5, low=less.low + 0.5, high=less.high + 0.5)


class Hidden(Audit):
    """What heads reach with the middle of the images hidden.

    Attributes:
        recipe: Recipe of the heads.
        told: The square of the headline, by its key.
        nets: What each net reaches with each square, under its name and the key of the square (Square.key).
        skipped: Why there are no nets, where there are none.
    """

    recipe: str
    told: str
    nets: dict[str, dict[str, Reached]]
    skipped: str | None = None

    def headline(self) -> dict[str, Headline]:
        """Return each net's AUC with the told square hidden."""
        return {model: Headline.of(auc) for model, auc in self._told().items()}

    def sentences(self) -> Iterator[str]:
        """Yield what is reached with the told square hidden."""
        for squares in list(self.nets.values())[:1]:
            square = squares[self.told]
            seen = {"lesions'": square.lesions_visible, "lungs'": square.lungs_visible}
            parts = [f"{100 * share:.1f} % of the {whose} area" for whose, share in seen.items() if share is not None]
            yield (
                f"With a black square of {100 * square.share:.0f} % of the side in the middle, in training and in "
                f"test, heads reach {by_net(self._told())}."
            )
            if parts:
                yield f"Beside that square, {' and '.join(parts)} stays visible."
        shuffled = {model: squares[SHUFFLED.key] for model, squares in self.nets.items() if SHUFFLED.key in squares}
        if shuffled:
            yield (
                "With the pixels of every image shuffled, so that only its grey levels are left, heads reach "
                f"{by_net({model: square.auc for model, square in shuffled.items()})}."
            )
            expected = by_net({model: square.expected() for model, square in shuffled.items()})
            yield (
                "The AUC to be expected on other people's images is then the AUC less that of shuffled images, plus "
                "one half (Ong Ly et al. 2024)."
            )
            yield f"That is {expected}."

    def blocks(self, step: Step) -> Iterator[Block]:
        """Yield a figure of the AUC over the squares, or why there is none."""
        if self.skipped:
            yield Block(f"The middle hidden: not run; {self.skipped}.", (step,))
            return
        caption = (
            f"The middle hidden: heads under the recipe “{title_of_recipe(self.recipe)}”. Left, they are trained and "
            "tested on images with a black square in the middle; right, on images that are black but for that square. "
            "Bands are 95 % intervals, a bootstrap over patients."
        )
        reading = (
            "Small pictures show what is left of an image. The middle is not the lungs: beside a square disease may "
            "stay visible.",
        )
        alt = "AUC by hidden square. " + "; ".join(
            f"{title_of(model)}, {square.share:g} {square.shows} shown: {square.auc.value:.3f}"
            for model, squares in self.nets.items()
            for square in squares.values()
        )
        yield drawn(figure(self.nets), "audit-hidden", alt, caption, (step,), self._table(), reading)

    def plots(self) -> dict[str, pd.DataFrame]:
        """Return a row per net and square."""
        rows = [
            {"model": model, "share": square.share, "shows": square.shows, **area(square.auc)}
            for model, squares in self.nets.items()
            for square in squares.values()
            if square.shows in TITLES
        ]
        return {"hidden": pd.DataFrame(rows)} if rows else {}

    def _told(self) -> dict[str, Estimate]:
        return {model: squares[self.told].auc for model, squares in self.nets.items()}

    def _table(self) -> Table:
        squares = [square for of_net in self.nets.values() for square in of_net.values()]
        known = [what for what in ("lesions", "lungs") if any(_visible(square, what) is not None for square in squares)]
        rows = []
        for model, of_net in self.nets.items():
            for square in of_net.values():
                less, over = square.less_than_whole, square.over_seeds
                rows.append(
                    (
                        title_of(model),
                        SHOWN[square.shows] if square.share else "the whole image",
                        f"{square.share:g}" if square.share and square.shows in TITLES else "",
                        spread(square.auc),
                        spanned(over),
                        signed(less) if square.share else "",
                        *(_percent(_visible(square, what)) for what in known),
                    )
                )
        header = ("net", "shown", "side of the square", "AUC (95 % interval)", "AUC over seeds", "less than the whole")
        return Table((*header, *(f"{what} visible" for what in known)), rows, names=2)


def _visible(square: Reached, what: str) -> float | None:
    """Return the share of lesions or lungs that is left to be seen."""
    share: float | None = getattr(square, f"{what}_visible")
    return share


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


@styled
def figure(nets: Mapping[str, Mapping[str, Reached]]) -> Figure:
    """Draw AUC against the side of the square: what it leaves when it is black, and when it alone is shown.

    Args:
        nets: What each net reaches with each square, under its name and the key of the square.
    """
    drawing = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    panels = drawing.subplots(1, 2, sharey=True)
    limits = reach(square.auc for squares in nets.values() for square in squares.values() if square.shows in TITLES)
    for axis, shows in zip(panels, TITLES, strict=True):
        shares: set[float] = set()
        for model, squares in nets.items():
            curve = {square.share: square.auc for square in squares.values() if square.shows == shows}
            if shows == "inside":  # the square that shows all is the whole image
                curve[1.0] = squares[WHOLE.key].auc
            x, colour = sorted(curve), NET_COLOURS[model]
            low, high = [curve[share].low for share in x], [curve[share].high for share in x]
            axis.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            middle = [curve[share].value for share in x]
            axis.plot(x, middle, "o-", color=colour, linewidth=1.5, markersize=4, label=title_of(model))
            shares |= set(x)
        axis.axhline(0.5, color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axis.set(xlim=(-0.04, 1.04), xlabel="side of the square, share of the image's", ylim=limits)
        bottom, top = axis.get_ylim()
        axis.set_yticks([tick for tick in axis.get_yticks() if bottom <= tick <= 1])
        axis.set_ylim(bottom, top + 0.2 * (top - bottom))  # room for the pictures
        axis.set_title(TITLES[shows])
        _pictures(axis, sorted(shares), shows)
    panels[0].set_ylabel("AUC, 95 % interval")
    panels[0].legend(loc="lower left", fontsize=8)
    return drawing


def _pictures(axis: Axes, shares: Sequence[float], shows: str) -> None:
    """Put what is left of the image above each share, as a small picture."""
    side = 0.062  # of the axis's width
    height = side * 1.62  # the panels are wider than high
    across = axis.transAxes
    for share in shares:
        left, bottom = (share + 0.04) / 1.08 - side / 2, 0.87
        outer, inner = (GREY, BLACK) if shows == "outside" else (BLACK, GREY)
        axis.add_patch(Rectangle((left, bottom), side, height, facecolor=outer, transform=across, zorder=4))
        corner = left + side * (1 - share) / 2, bottom + height * (1 - share) / 2
        axis.add_patch(
            Rectangle(corner, side * share, height * share, facecolor=inner, transform=across, zorder=5, linewidth=0)
        )


def swept(
    features: Mapping[Square, NDArray[np.float32]],
    table: pd.DataFrame,
    recipe: Recipe,
    seeds: list[int],
    settings: EvaluateSettings,
    lesions: NDArray[np.bool_],
    lungs: NDArray[np.bool_],
) -> dict[str, Reached]:
    """Return what heads reach that are trained and tested with each square hidden, or with nothing else shown.

    Args:
        features: (images, features) by square; WHOLE among them.
        table: The catalogue (images), with its split.
        recipe: Recipe of the heads; one that needs no more than frozen features.
        seeds: A head is trained for each.
        settings: Samples and seed of the bootstrap.
        lesions: (lesions, height, width), masks of those that are known; there may be none.
        lungs: (lungs, height, width), the same.

    Returns:
        What is reached by the key of the square.

    Raises:
        UserError: The training or the test images are not of both classes.
    """
    test = table[catalogue.in_test(table)]
    for side, rows in (("training", table[catalogue.in_training(table, augmented=False)]), ("test", test)):
        if rows["label"].nunique() < 2:
            raise UserError(f"hidden: the {side} images are of one class only; widen the filter or change the split")
    bootstrap, scores = Bootstrap.of(test, settings), _scores(features, table, recipe, seeds)
    shown = {square: part[:, median_head(part, bootstrap.positive)] for square, part in scores.items()}
    draws = {square: bootstrap.auc(score) for square, score in shown.items()}
    own = {square: bootstrap.area(score) for square, score in shown.items()}
    found = {}
    for square, part in scores.items():
        areas = [bootstrap.area(score) for score in part.T]
        found[square.key] = Reached(
            share=square.share,
            shows=square.shows,
            auc=bootstrap.with_interval(own[square], draws[square]),
            over_seeds=AucOverSeeds.of(areas),
            less_than_whole=Estimate.of(own[WHOLE] - own[square], percentile_interval(draws[WHOLE] - draws[square])),
            lesions_visible=left_visible(lesions, square) if lesions.any() and square != SHUFFLED else None,
            lungs_visible=left_visible(lungs, square) if lungs.any() and square != SHUFFLED else None,
        )
    return found


def left_visible(masks: NDArray[np.bool_], square: Square) -> float:
    """Return the share of masks (images, height, width), some of them not empty, that `square` leaves to be seen."""
    return float(hide(masks[..., None].astype(np.uint8), square).sum() / masks.sum())


def _scores(
    features: Mapping[Square, NDArray[np.float32]], table: pd.DataFrame, recipe: Recipe, seeds: list[int]
) -> dict[Square, NDArray[np.float64]]:
    """Return the test images' scores (images, seeds) by square."""
    from deepcovid.heads.sweep import score_each

    scores = score_each([(part, table) for part in features.values()], recipe, seeds)
    return dict(zip(features, scores, strict=True))
