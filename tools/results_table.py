"""Print the results tables of a data set from its metrics files, or put them into README.md.

python -m tools.results_table --dataset covid-xray-5k     print
python -m tools.results_table --write                     bring README.md up to date
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deepcovid.backbones import BACKBONES

README, METRICS = Path("README.md"), Path("metrics")
PUBLISHED, PARAMS = Path("reference/published.yaml"), Path("params.yaml")
BLOCK = re.compile(r"(<!-- results of (?P<dataset>[\w-]+)[^>]*-->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="covid-xray-5k", help="a folder of metrics/ (covid-xray-5k)")
    parser.add_argument("--write", action="store_true", help="replace the tables between the marks in README.md")
    options = parser.parse_args()
    if options.write:
        README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(tables(options.dataset))


def with_tables(text: str) -> str:
    """Return `text` with every marked block of results brought up to date."""
    return BLOCK.sub(lambda block: f"{block[1]}{tables(block['dataset'])}\n{block[4]}", text)


def tables(dataset: str) -> str:
    """Return the results and the confusion matrices of a data set as Markdown."""
    recipes = list(YAML(typ="safe", pure=True).load(PARAMS)["recipe"])
    runs = {(net, recipe): read(dataset, net, recipe) for net in BACKBONES for recipe in recipes}
    return f"{results(runs)}\n\n{confusions(runs, recipes)}"


def read(dataset: str, net: str, recipe: str) -> Any:
    """Return the metrics of a run, or None where it was not run."""
    path = METRICS / dataset / f"{net}-{recipe}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def results(runs: dict[tuple[str, str], Any]) -> str:
    """Return a row per run, the published numbers beside."""
    published = YAML(typ="safe", pure=True).load(PUBLISHED)
    lines = [
        "| net | recipe | AUC (95 % interval) | AUC over seeds | at sensitivity 98 %: specificity "
        "| cut-off | sensitivity | specificity | heads that call every image alike | published |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (net, recipe), run in runs.items():
        if run is None:
            continue
        over, at = run["over_seeds"], run["at_sensitivity_98"]
        collapsed = f"{round(over['collapsed']['mean'] * over['seeds'])} of {over['seeds']}"
        lines.append(
            f"| {BACKBONES[net]} | {recipe} | {run['auc']:.3f} ({interval(run['auc_ci95'])}) "
            f"| {over['auc']['min']:.3f} to {over['auc']['max']:.3f} | {at['specificity']:.3f} | {run['threshold']:g} "
            f"| {run['sensitivity']:.2f} ({interval(run['sensitivity_wilson95'], 2)}) "
            f"| {run['specificity']:.3f} ({interval(run['specificity_wilson95'])}) | {collapsed} "
            f"| {published_for(published, net, recipe)} |"
        )
    return "\n".join(lines)


def published_for(published: Any, net: str, recipe: str) -> str:
    """Return what was published of a run, in words."""
    failed, figure = published["failed_reproduction"], published["released_figure"]["auc"]
    if recipe == "paper":
        text = f"specificity {published['paper']['specificity_average']} on average, "
        return text + f"{published['paper']['specificity_best_net']} at best, at sensitivity 98 %"
    if recipe == "released-code":
        return f"AUC {figure[net]}, earlier data" if net in figure else ""
    return f"AUC {failed['auc']}, every image Non-COVID" if net == failed["model"] else ""


def confusions(runs: dict[tuple[str, str], Any], recipes: list[str]) -> str:
    """Return the confusion matrices, the recipes side by side."""
    lines = [
        "| net | actual | " + " | ".join(f"{recipe}: called covid / non" for recipe in recipes) + " |",
        "|---|---|" + "---|" * len(recipes),
    ]
    for net, title in BACKBONES.items():
        found = [runs[net, recipe] for recipe in recipes]
        if not any(found):
            continue
        for label, hit, miss in (("covid", "tp", "fn"), ("non", "fp", "tn")):
            cells = (f"{run['confusion'][hit]} / {run['confusion'][miss]}" if run else "" for run in found)
            lines.append(f"| {title} | {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def interval(bounds: dict[str, float], digits: int = 3) -> str:
    """Return an interval as text."""
    return f"{bounds['low']:.{digits}f} to {bounds['high']:.{digits}f}"


if __name__ == "__main__":
    main()
