"""The section on each test set of other people's images: its matrix, its ROC curve and its scores."""

from collections.abc import Sequence

from deepcovid.audits.external import External
from deepcovid.drawing.blocks import NOT_RUN, Block, Section, drawn
from deepcovid.drawing.steps import Sourced
from deepcovid.drawing.svg import WIDTH
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.nets.zoo import title_of
from deepcovid.report import figures
from deepcovid.report.contents import Contents, MeasuredRun
from deepcovid.settings.analyses import EvaluateSettings

TITLE = "On other people's images"


def external_of(contents: Contents) -> list[Sourced[External]]:
    """Return the tests on other people's images."""
    return [Sourced(part.value, part.step) for part in contents.audits.values() if isinstance(part.value, External)]


def test_sets(contents: Contents) -> Section:
    """For each test set, what its images are called, and how high they score."""
    parts = external_of(contents)
    if not parts:
        return Section("test-sets", TITLE, notes=(NOT_RUN.format("test on other people's images"),))
    blocks = [
        block for part in parts for block in _blocks(part, contents.tested[part.value.images], contents.bootstrap)
    ]
    return Section("test-sets", TITLE, blocks=tuple(blocks))


def _blocks(part: Sourced[External], runs: Sequence[MeasuredRun], settings: EvaluateSettings) -> tuple[Block, ...]:
    own, told, steps = part.value, part.value.told, (part.step,)
    heads = f"heads of {own.heads} under the recipe “{title_of_recipe(own.recipe)}”"
    matrices = [(title_of(model), one.run.confusion) for model, one in told.items()]
    columns = min(len(matrices), 4)
    alt = f"Confusion matrices on {own.images}. " + "; ".join(
        f"{title}: {cells.tp} of {cells.tp + cells.fn} covid and {cells.fp} of {cells.fp + cells.tn} non called covid"
        for title, cells in matrices
    )
    areas = "; ".join(f"{title_of(model)}: AUC {one.run.auc.value:.3f}" for model, one in told.items())
    drawing = figures.confusions(matrices, columns, min(2.6, WIDTH / columns))
    return (
        drawn(drawing, f"confusion-{own.images}", alt, f"The test set {own.images}: what {heads} call it.", steps),
        drawn(
            figures.roc_of_nets(runs, settings, ()),
            f"roc-{own.images}",
            f"ROC curves on {own.images}. {areas}",
            f"ROC curves on {own.images}, of {heads}. The bands hold 95 % at each false positive rate, over bootstrap "
            "samples of patients; the dots are at the cut-off.",
            steps,
        ),
        drawn(
            figures.histograms(runs),
            f"histogram-{own.images}",
            f"Histograms of P(covid) on {own.images}. {alt}",
            f"Scores on {own.images}, of {heads}; the cut-off is dashed. Shares are of the group's images, on "
            "an axis by square root.",
            steps,
        ),
    )
