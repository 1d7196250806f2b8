"""Tables and sentences of a data set's results as Markdown, for the pages of docs."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from deepcovid.audits import enough
from deepcovid.audits.dials import Cell
from deepcovid.audits.registry import read_results, sentences, ways_of
from deepcovid.audits.verdict import verdict as sentences_of_verdict
from deepcovid.drawing.tables import rate, share, signed, spanned, spread
from deepcovid.drawing.titles import title_of_recipe, title_of_rung
from deepcovid.ladder.measuring import NetLadder
from deepcovid.nets.zoo import NETS, title_of
from deepcovid.report.results import Results
from deepcovid.report.review import of_calibration, of_predictive_values
from deepcovid.report.sentences import heat_sentences, sanity_sentences
from deepcovid.statistics.comparison import Beside
from deepcovid.statistics.rates import RunResult
from deepcovid.statistics.review import Review

NETS_TRAINED = {"frozen": "frozen", "replayed": "whole"}  # what a rung's net is called in the results


def recipes(results: Results, dataset: str) -> str:
    """Return a row per recipe that was run: the name that people read, and its key in params.yaml."""
    keys = dict.fromkeys(recipe for _, recipe, _ in _runs(results, dataset))
    return table(("recipe", "key in params.yaml"), ((title_of_recipe(key), f"`{key}`") for key in keys))


def runs(results: Results, dataset: str) -> str:
    """Return a row per run."""
    header = (
        "net",
        "recipe",
        "AUC of the median head (95 % interval)",
        "AUC, lowest to highest head",
        "specificity at sensitivity 98 %",
        "cut-off",
        "sensitivity",
        "specificity",
        "heads that call every image alike",
    )
    rows = [
        (
            title_of(net),
            title_of_recipe(recipe),
            spread(run.auc),
            spanned(run.over_seeds.auc),
            f"{run.at_sensitivity_98.specificity:.3f}",
            f"{run.cut_off:g}",
            rate(run.sensitivity, 2),
            rate(run.specificity),
            f"{run.collapsed_heads} of {run.over_seeds.heads}",
        )
        for net, recipe, run in _runs(results, dataset)
    ]
    return table(header, rows)


def confusions(results: Results, dataset: str) -> str:
    """Return the confusion matrices, a row a run."""
    header = ("net", "recipe", "COVID called COVID", "COVID called non", "others called COVID", "others called non")
    rows = [
        (
            title_of(net),
            title_of_recipe(recipe),
            *(f"{cell:,}" for cell in (matrix.tp, matrix.fn, matrix.fp, matrix.tn)),
        )
        for net, recipe, run in _runs(results, dataset)
        if (matrix := run.confusion)
    ]
    return table(header, rows)


def published(numbers: Iterable[Beside]) -> str:
    """Return a row per published number and run of ours."""
    header = (
        "source",
        "number",
        "published",
        "net",
        "recipe",
        "ours (95 % interval)",
        "lowest to highest head",
        "difference",
        "published value inside our interval",
    )
    rows = []
    for row in numbers:
        digits, over = row.digits, row.over_heads
        rows.append(
            (
                row.group.replace("-", " "),
                row.name,
                f"{row.published:.{row.decimals}f}",
                title_of(row.model),
                title_of_recipe(row.recipe),
                spread(row.ours, digits),
                f"{spanned(over, digits)}{' (inside)' * over.inside}" if over else "",
                f"{row.difference:+.{digits}f}",
                ("no", "yes")[row.inside] if row.same_test_counts else "other test images",
            )
        )
    return table(header, rows)


def ladder(net: NetLadder) -> str:
    """Return a row per rung of a net's ladder."""
    header = (
        "path",
        "rung",
        "net",
        "mean AUC of the heads (95 % interval of the mean)",
        "less that of the rung below (95 % interval over patients)",
        "sensitivity",
        "specificity",
        "heads that call every image alike",
    )
    rows = [
        (
            rung.direction,
            title_of_rung(rung.rung),
            NETS_TRAINED[rung.net],
            spread(rung.auc),
            signed(rung.below.auc) if rung.below else "",
            f"{rung.sensitivity.value:.2f}",
            f"{rung.specificity.value:.3f}",
            f"{rung.collapsed_heads} of {rung.heads}",
        )
        for rung in net.rungs.values()
    ]
    return table(header, rows)


def audits(results: Results, dataset: str) -> str:
    """Return what the audits say, a bullet a sentence."""
    return bullets(sentences(read_results(results.folder / dataset)))


def verdict(results: Results, dataset: str, net: str) -> str:
    """Return what the score of a net means, a bullet a sentence."""
    return bullets(sentences_of_verdict(read_results(results.folder / dataset), net))


def ways(results: Results, dataset: str) -> str:
    """Return a row per way to tell the classes apart, highest AUC first."""
    shown = enough.table(ways_of(read_results(results.folder / dataset)))
    return table(shown.header, shown.rows)


def heatmaps(results: Results, dataset: str) -> str:
    """Return what was measured of the heat maps, a bullet a sentence; nothing where none were made."""
    nets = (results.result(dataset, name) for net in NETS if results.has(dataset, name := f"heatmaps/{net}"))
    return bullets(sentence for net in nets for sentence in (*heat_sentences(net), *sanity_sentences(net)))


def beside(results: Results, dataset: str) -> str:
    """Return how maps of images with and without COVID-19 compare, a bullet a net and test set."""
    found = (results.result(dataset, name) for name in results.names(dataset, "heatmaps/*-beside-*"))
    return bullets(sentence for own in found if (sentence := own.sentence()))


def reviews(results: Results, dataset: str) -> dict[str, Review]:
    """Return what a reviewer asks for, by the images: those of the data set itself, then those of each test set."""
    names = {name.split("/")[1]: name for name in results.names(dataset, "external/*/review")}
    return {images: results.result(dataset, name) for images, name in {dataset: "review", **names}.items()}


def predictive(results: Results, dataset: str) -> str:
    """Return a row per net and images: what a call is worth."""
    own = of_predictive_values(reviews(results, dataset))
    return table(own.header, own.rows)


def calibrated(results: Results, dataset: str) -> str:
    """Return a row per net and images: whether scores are probabilities once their prior is that of the images."""
    own = of_calibration(reviews(results, dataset))
    return table(own.header, own.rows)


def capped(results: Results, dataset: str) -> str:
    """Return what the cap on the epochs of the replays leaves open, a bullet a run."""
    return bullets(
        run.further.sentence(f"{title_of(net)}, {title_of_recipe(recipe)}")
        for net, recipe, run in _runs(results, dataset)
        if run.further
    )


def dials(results: Results, dataset: str) -> str:
    """Return what the audits read at each setting of a data set's dials: a table for each kind of audit."""
    cells = results.result(dataset, "dials").cells.values()
    kinds: dict[str, tuple[Sequence[str], Callable[[Cell], Iterable[str]]]] = {
        "The heads, and heads trained on others": (
            ("inside", "outside", "collection", "without COVID-19", "within A"),
            lambda cell: (
                *(spread(area) for area in (cell.inside, cell.outside, cell.collection, cell.without_covid)),
                spread(cell.within) if cell.within else "",
            ),
        ),
        "Images changed": (
            ("middle hidden", "lesions then visible", "pixels shuffled", "outside, as shuffling says"),
            lambda cell: (
                spread(cell.hidden),
                "" if cell.lesions_visible is None else share(cell.lesions_visible),
                *(spread(area) for area in (cell.shuffled, cell.expected)),
            ),
        ),
        "Without a net": (
            [f"{name}, {place}" for name in ("sharpness", "thumbnail") for place in ("inside", "outside")],
            lambda cell: (spread(area) for simple in cell.simple.values() for area in (simple.inside, simple.outside)),
        ),
    }
    return "\n\n".join(
        f"{kind}:\n\n"
        + table(
            ("shortcut", "lesion", *header),
            ((f"{cell.shortcut:g}", f"{cell.lesion:g}", *of_cell(cell)) for cell in cells),
        )
        for kind, (header, of_cell) in kinds.items()
    )


def bullets(texts: Iterable[str]) -> str:
    """Return a list."""
    return "\n".join(f"- {text}" for text in texts)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell's line breaks become spaces."""
    lines = (f"| {' | '.join(cell.replace(chr(10), ' ') for cell in cells)} |" for cells in (header, *rows))
    first, *others = lines
    return "\n".join([first, "|" + "---|" * len(header), *others])


def _runs(results: Results, dataset: str) -> Iterator[tuple[str, str, RunResult]]:
    """Yield the net, the recipe and the numbers of each run."""
    for name, run in results.result(dataset, "runs").runs.items():
        net, _, recipe = name.partition("-")
        yield net, recipe, run
