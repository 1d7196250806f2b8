"""Print the tables of a data set from its files in results/, or put them into README.md and docs.

python -m tools.results_table --dataset covid-xray-5k     print
python -m tools.results_table --write                     bring README.md and docs up to date
"""

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from ruamel.yaml import YAML

from deepcovid.audits import enough
from deepcovid.audits.baselines import Baselines
from deepcovid.audits.dials import Dials
from deepcovid.audits.registry import read_results, sentences, ways_of
from deepcovid.drawing.tables import Table, rate, signed, spread
from deepcovid.heatmaps.localisation import NetHeat
from deepcovid.ladder.measuring import Ladders, NetLadder
from deepcovid.nets.zoo import NETS, title_of
from deepcovid.report.sentences import claim_sentence, finding, heat_sentences
from deepcovid.statistics.comparison import AgainstPublished, NetsCompared
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Model, read_result
from deepcovid.statistics.published import Group
from deepcovid.statistics.rates import RunResult, Runs
from deepcovid.statistics.uncertainty import Uncertainty
from stages import paths
from stages._resolved import read_published

PAGES = (Path("README.md"), Path("docs/phantom.md"))
BLOCK = re.compile(
    r"(<!-- (?P<what>results|dials|sharpness)( of )?(?P<dataset>[\w-]*)[^>]*-->\n)(.*?)(<!-- end -->)", re.DOTALL
)


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="covid-xray-5k", help="a folder of results/ (covid-xray-5k)")
    parser.add_argument(
        "--write", action="store_true", help="replace the tables between the marks in README.md and docs"
    )
    options = parser.parse_args()
    if options.write:
        for page in PAGES:
            page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tables(options.dataset))


def with_tables(text: str) -> str:
    """Return `text` with every marked block of results brought up to date."""
    made: dict[str, Callable[[str], str]] = {"results": tables, "dials": dials, "sharpness": sharpness}
    return BLOCK.sub(lambda block: f"{block[1]}{made[block['what']](block['dataset'])}\n{block[6]}", text)


def dials(dataset: str) -> str:
    """Return a row per setting of a data set's dials, with what the audits read there."""
    found = read(dataset, "dials", Dials)
    heads = ["shortcut", "lesion", "inside", "outside", "collection", "middle hidden", "lesions then visible"]
    heads += [f"{name}, {place}" for name in ("sharpness", "thumbnail") for place in ("inside", "outside")]
    rows = [
        [
            f"{cell.shortcut:g}",
            f"{cell.lesion:g}",
            *(spread(area) for area in (cell.inside, cell.outside, cell.collection, cell.hidden)),
            "" if cell.lesions_visible is None else f"{100 * cell.lesions_visible:.0f} %",
            *(spread(area) for simple in cell.simple.values() for area in (simple.inside, simple.outside)),
        ]
        for cell in (found.cells.values() if found else ())
    ]
    return table(heads, rows)


def sharpness(_: str) -> str:
    """Return what three figures of sharpness reach on phantoms and on the paper's images."""
    rows = []
    for dataset in ("phantom", "covid-xray-5k"):
        if found := read(dataset, "baselines", Baselines):
            rows.append([dataset, spread(found.baselines["sharpness"].auc)])
    return table(["data set", "AUC of three figures of sharpness (95 % interval)"], rows)


def tables(dataset: str) -> str:
    """Return a data set's results and confusion matrices as Markdown, with published numbers beside if it has any."""
    recipes = list(YAML(typ="safe", pure=True).load(paths.PARAMS)["recipe"])
    evaluated = read(dataset, "runs", Runs)
    found = evaluated.runs if evaluated else {}
    pairs = [(net, recipe) for net in NETS for recipe in recipes]
    runs = {(net, recipe): found[f"{net}-{recipe}"] for net, recipe in pairs if f"{net}-{recipe}" in found}
    groups = read_published().of(dataset)
    parts = [results(runs, groups), confusions(runs)]
    beside, nets = read(dataset, "published", AgainstPublished), read(dataset, "nets", NetsCompared)
    climbed = read(dataset, "ladder", Ladders)
    if groups and beside and nets:
        head = "the median head" if all(run.shown for run in runs.values()) else "the first seed's head"
        parts.append(f"Published against ours; ours, with its interval, is that of {head}:")
        parts += [against_published(beside), claim_sentence(nets, dataset, papers_images=True)]
    if groups and climbed:
        parts.append(f"The ladder, computed from its table, `results/{dataset}/ladder.json`:")
        parts.append("\n".join(f"- {finding(title_of(net), part)}" for net, part in climbed.nets.items()))
        parts += [f"{title_of(net)}:\n\n{ladder(part)}" for net, part in climbed.nets.items() if net == "resnet18"]
    sure = read(dataset, "uncertainty", Uncertainty)
    if sure and sure.on_selection():
        parts.append(sure.on_selection())
    capped = {name: run.further for name, run in runs.items() if run.further}
    if capped:
        said = (f"- {own.sentence(f'{title_of(net)}, {recipe}')}" for (net, recipe), own in capped.items())
        parts.append("\n".join(["The replays' cap on the epochs, computed from their logs:", "", *said]))
    return "\n\n".join([*parts, *audits(dataset), *heatmaps(dataset)])


def audits(dataset: str) -> list[str]:
    """Return what the audits say, and the table that compares them, or nothing where none was run."""
    found = read_results(paths.results(dataset, "").parent)
    if not found:
        return []
    said = "\n".join(f"- {sentence}" for sentence in sentences(found))
    return [f"The audits, computed from `results/{dataset}`:", said, markdown(enough.table(ways_of(found)))]


def heatmaps(dataset: str) -> list[str]:
    """Return what was measured of the heat maps, or nothing where none were made."""
    found = [read(dataset, f"heatmaps/{net}", NetHeat) for net in NETS]
    said = " ".join(sentence for net in found if net for sentence in heat_sentences(net))
    return [f"The heat maps, computed from `results/{dataset}/heatmaps`: {said}"] if said else []


def markdown(shown: Table) -> str:
    """Return a table of the report as Markdown."""
    return table(list(shown.header), [[cell.replace("\n", " ") for cell in row] for row in shown.rows])


def read(dataset: str, name: str, kind: type[Model]) -> Model | None:
    """Return a result of a data set, or None where it is not there."""
    path = paths.results(dataset, name)
    return read_result(path, kind) if path.is_file() else None


def results(runs: dict[tuple[str, str], RunResult], groups: Mapping[str, Group]) -> str:
    """Return a row per run, the published numbers beside."""
    heads = [
        "net",
        "recipe",
        "AUC (95 % interval)",
        "AUC over seeds",
        "at sensitivity 98 %: specificity",
        "cut-off",
        "sensitivity",
        "specificity",
        "heads that call every image alike",
        *(["published"] if groups else []),
    ]
    rows = []
    for (net, recipe), run in runs.items():
        over = run.over_seeds
        cells = [
            title_of(net),
            recipe,
            spread(run.auc),
            f"{over.auc.min:.3f} to {over.auc.max:.3f}",
            f"{run.at_sensitivity_98.specificity:.3f}",
            f"{run.cut_off:g}",
            rate(run.sensitivity, 2),
            rate(run.specificity),
            f"{run.collapsed_heads} of {over.heads}",
        ]
        rows.append([*cells, *([published_for(groups, net, recipe, run.n_test)] if groups else [])])
    return table(heads, rows)


def published_for(groups: Mapping[str, Group], net: str, recipe: str, n_test: Counts) -> str:
    """Return the published rates of a run, in words."""
    return "; ".join(
        f"{number.name}: {number.value:g}{'' if group.test_images.fit(n_test) else ' (other test images)'}"
        for group in groups.values()
        for number in group.numbers
        if recipe in group.recipes
        and number.model in (net, "best", "average")
        and not number.metric.startswith("confusion.")  # the other table has them
    )


def against_published(beside: AgainstPublished) -> str:
    """Return a row per published number and run of ours."""
    heads = ["source", "number", "published", "net", "recipe", "ours (95 % interval)", "over seeds", "difference"]
    rows = []
    for row in beside.numbers.values():
        digits, over = 0 if row.counts_images else 3, row.over_heads
        inside = ("no", "yes")[row.inside] if row.same_test_counts else "other test images"
        cells = [
            row.group,
            row.name,
            f"{row.published:g}",
            title_of(row.model),
            row.recipe,
            spread(row.ours, digits),
            f"{over.min:.{digits}f} to {over.max:.{digits}f}{' (inside)' * over.inside}" if over else "",
            f"{row.difference:+.{digits}f}",
            inside,
        ]
        rows.append(cells)
    return table([*heads, "published value inside our interval"], rows)


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return "\n".join([first, "|" + "---|" * len(heads), *others])


def ladder(part: NetLadder) -> str:
    """Return a row per rung of a net's ladder."""
    compared = any(rung.below for rung in part.rungs.values())
    heads = [
        "path",
        "rung",
        "net",
        "AUC over seeds (95 % interval of the mean)",
        *(["less that of the rung below (95 % interval over patients)"] if compared else []),
        "sensitivity",
        "specificity",
        "heads that call every image alike",
    ]
    rows = []
    for rung in part.rungs.values():
        cells = [
            rung.direction,
            rung.rung,
            rung.net,
            spread(rung.auc),
            *([signed(rung.below.auc) if rung.below else ""] if compared else []),
            f"{rung.sensitivity.value:.2f}",
            f"{rung.specificity.value:.3f}",
            f"{rung.collapsed_heads} of {rung.heads}",
        ]
        rows.append(cells)
    return table(heads, rows)


def confusions(runs: dict[tuple[str, str], RunResult]) -> str:
    """Return the confusion matrices, the recipes side by side."""
    recipes = list(dict.fromkeys(recipe for _, recipe in runs))
    rows = []
    for net in dict.fromkeys(net for net, _ in runs):
        found = [runs.get((net, recipe)) for recipe in recipes]
        for label, hit, miss in (("covid", "tp", "fn"), ("non", "fp", "tn")):
            cells = (f"{getattr(run.confusion, hit)} / {getattr(run.confusion, miss)}" if run else "" for run in found)
            rows.append([title_of(net), label, *cells])
    return table(["net", "actual", *(f"{recipe}: called covid / non" for recipe in recipes)], rows)


if __name__ == "__main__":
    main()
