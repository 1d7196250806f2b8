"""The page of `deepcovid test`: what a head reaches on a user's own images."""

from collections.abc import Iterator
from typing import Any

from deepcovid.audits.unseen import LeftOut
from deepcovid.drawing.blocks import Block, Section, Tile, drawn
from deepcovid.drawing.tables import Table, bounds, rate, spanned, spread
from deepcovid.images.put_aside import put_aside
from deepcovid.report import figures
from deepcovid.report.contents import MeasuredRun
from deepcovid.report.page import Page, filled
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.rates import SENSITIVITY_WANTED, RunResult


class OwnImages(Strict):
    """results.json of `deepcovid test`.

    Attributes:
        notice: That it is for research only, and which head it is of.
        head: See `deepcovid.heads.prediction.Head.facts`.
        images: Name of their folder or zip.
        run: The numbers of the head that is shown, and how they vary over all heads.
        patients: How many patients the images are of; an image without one is of a patient of its own.
        without_patient: Images whose patient is not known.
        unlike: Images that are unlike the training images, see `deepcovid.heads.outliers`.
        put_aside: Why images could not be used, by their file.
        left_out: Images that the heads were trained on, which do not count; None where that is not known.
    """

    notice: str
    head: dict[str, Any]
    images: str
    run: RunResult
    patients: Counts
    without_patient: int
    unlike: int
    put_aside: dict[str, str]
    left_out: LeftOut | None = None


def page(result: OwnImages, run: MeasuredRun, settings: EvaluateSettings, command: str) -> str:
    """Return the page; the same arguments give the same text.

    Args:
        result: The numbers.
        run: The scores of the head that is shown.
        settings: Samples and seed for the band of the ROC curve.
        command: What makes the page.
    """
    parts = (_numbers(result), _matrix(result), _roc(run, settings), _histogram(run), _which(result), _head(result))
    return filled(Page("Test on your own images", result.images, command), parts)


def caveats(result: OwnImages) -> Iterator[str]:
    """Yield what is wrong, or may be, with the images behind the numbers."""
    if result.put_aside:
        yield put_aside(result.put_aside, result.images)
    if result.left_out is None:
        yield (
            "Images that the head was trained on may be among these: the pipeline's list of them, images.csv, is not "
            "beside the head's weights."
        )
    elif result.left_out.images:
        one = result.left_out.images == 1
        yield (
            f"{result.left_out.images:,} image{' does' if one else 's do'} not count, for the head was trained on "
            f"{'it or its patient' if one else 'them or their patients'}."
        )
    if result.unlike:
        images = result.run.n_test.covid + result.run.n_test.non
        yield f"Unlike the training images, so that their scores mean little: {result.unlike:,} of {images:,} images."
    if result.without_patient:
        yield (
            f"Images whose patient is not known: {result.without_patient:,}. Each counts as a patient of its own, so "
            "the intervals are too narrow where several are of the same patient."
        )


def _numbers(result: OwnImages) -> Section:
    run, counts = result.run, result.run.n_test
    tiles = (
        Tile(f"{run.auc.value:.3f}", "AUC", f"95 % interval {bounds(run.auc)}"),
        Tile(
            f"{run.sensitivity.value:.3f}",
            "sensitivity",
            f"{bounds(run.sensitivity.patients)}; {run.confusion.tp:,} of {counts.covid:,} "
            "COVID-19 images are called so",
        ),
        Tile(
            f"{run.specificity.value:.3f}",
            "specificity",
            f"{bounds(run.specificity.patients)}; {run.confusion.tn:,} of {counts.non:,} others are called so",
        ),
    )
    text = (
        f"{counts.covid:,} COVID-19 images of {result.patients.covid:,} patients and {counts.non:,} other images of "
        f"{result.patients.non:,} patients count. An image is called COVID-19 from a score of {run.cut_off:g} on.",
        *caveats(result),
    )
    caption = (
        "Intervals are 95 %, a bootstrap over patients. Numbers and curves are those of the head that has the median "
        "AUC on the test images of its own data set."
    )
    return Section("result", "What the head reaches", text, (Block(caption, (), tiles=tiles),))


def _matrix(result: OwnImages) -> Section:
    run, heads = result.run, result.run.over_seeds
    cells = run.confusion
    alt = f"Confusion matrix: {cells.tp} true positive, {cells.fn} false negative, {cells.fp} false positive, "
    caption = (
        "Rows are what images are, columns what they are called; blue is right, red is wrong, tinted by the share of "
        "the row."
    )
    figure = figures.confusions([(f"cut-off {run.cut_off:g}", cells)], 1, 3.4)
    at_98 = run.at_sensitivity_98
    rows = [
        ("AUC", spread(run.auc), spanned(heads.auc)),
        ("sensitivity", rate(run.sensitivity), spanned(heads.sensitivity)),
        ("specificity", rate(run.specificity), spanned(heads.specificity)),
        ("average precision", f"{run.average_precision:.3f}", ""),
        ("accuracy", f"{run.accuracy:.3f}", ""),
        ("accuracy of calling all alike", f"{run.majority_accuracy:.3f}", ""),
        (f"specificity at a sensitivity of {SENSITIVITY_WANTED:g}", f"{at_98.specificity:.3f}", ""),
    ]
    table = Table(("what", "value (95 % interval)", f"over all {heads.heads} heads"), rows)
    blocks = (
        drawn(figure, "matrix", f"{alt}{cells.tn} true negative", caption, ()),
        Block("In numbers. The last column is the lowest and the highest of a head.", (), table=table),
    )
    return Section("matrix", "Who is called what", blocks=blocks)


def _roc(run: MeasuredRun, settings: EvaluateSettings) -> Section:
    caption = (
        f"The band holds 95 % at each false positive rate, over {settings.bootstrap_samples:,} bootstrap samples of "
        "patients, drawn within each class; the dot is at the cut-off."
    )
    alt = f"ROC curve, AUC {run.result.auc.value:.3f}"
    return Section(
        "roc", "ROC curve", blocks=(drawn(figures.roc_of_nets([run], settings, ()), "roc", alt, caption, ()),)
    )


def _histogram(run: MeasuredRun) -> Section:
    caption = (
        f"Shares of the group's images by their score, dashed the cut-off {run.cut_off:g}, on an axis by square root. "
        "Normal are images with the finding No Finding, other are the remaining ones without COVID-19."
    )
    cells = run.result.confusion
    alt = f"Histograms of P(covid): {cells.tp} COVID-19 images and {cells.fp} others lie above the cut-off"
    blocks = (drawn(figures.histograms([run]), "histogram", alt, caption, ()),)
    return Section("histogram", "Scores", blocks=blocks)


def _which(result: OwnImages) -> Section:
    title = "Images that were put aside"
    if not result.put_aside:
        return Section("aside", title, (put_aside({}, result.images),))
    table = Table(("file", "why"), list(result.put_aside.items()), names=2, breakable=True)
    return Section("aside", title, blocks=(Block("They have no score and do not count.", (), table=table),))


def _head(result: OwnImages) -> Section:
    text = ("A score says how much an image is like those of one collection and unlike those of another.",)
    rows = [(name.replace("_", " "), _in_words(value)) for name, value in result.head.items()]
    table = Table(("what", "value"), rows, names=2, breakable=True)
    return Section("head", "The head", text, (Block("What the head file names.", (), table=table),))


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name} {_in_words(part)}" for name, part in value.items())
    return ", ".join(f"{part}" for part in value) if isinstance(value, list) else f"{value}"
