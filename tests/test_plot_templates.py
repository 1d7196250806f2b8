"""The plot templates are valid Vega-Lite that draws what dvc.yaml puts in; drawn here without a browser."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import vl_convert
from ruamel.yaml import YAML

from tests.checkouts import ROOT
from tests.vega import marks

PLOTS = [item for item in YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"] if isinstance(item, dict)]
RUN = {"dataset": "phantom", "model": "resnet18", "recipe": "paper", "rev": "workspace"}
ROWS = {
    "roc": {"false_positive_rate": [0, 0.1, 1], "true_positive_rate": [0, 0.8, 1], "cut_off": [1, 0.5, 0]},
    "precision_recall": {"recall": [1, 0.5, 0], "precision": [0.2, 0.6, 1], "cut_off": [0, 0.5, 1]},
    "cut_offs": {"cut_off": [0, 1], "rate": ["sensitivity"] * 2, "value": [1, 0]},
    "histogram": {"group": ["covid", "normal"], "low": [0, 0.5], "high": [0.5, 1], "share": [0.3, 0.7]},
    "confusion": {"actual": ["covid", "non"], "predicted": ["covid", "non"], "images": [93, 7]},
    "ladder": {
        "direction": ["up", "up", "down", "aside"],
        "step": [0, 1, 0, 0],
        "rung": ["failed reproduction", "+ random crop", "paper", "+ random crop"],
        "net": ["frozen", "frozen", "frozen", "replayed"],
        "measure": ["AUC", "sensitivity", "collapsed", "specificity"],
        "mean": [0.7, 0.1, 0, 0.9],
        "low": [0.6, 0, 0, 0.8],
        "high": [0.8, 0.2, 0, 1],
    },
    "enough": {
        "title": ["three figures of sharpness", "ResNet18, ImageNet weights"],
        "kind": ["hand-made", "pipeline"],
        "auc": [0.9, 0.99],
        "low": [0.88, 0.98],
        "high": [0.92, 1],
    },
    "hidden": {
        "share": [0, 0.5, 0.5],
        "shows": ["outside", "outside", "inside"],
        "auc": [0.9, 0.8, 0.7],
        "low": [0.8, 0.7, 0.6],
        "high": [1, 0.9, 0.8],
    },
    "reliability": {
        "images": ["phantom", "elsewhere"],
        "mean_score": [0.1, 0.8],
        "observed": [0.05, 0.6],
        "observed_low": [0.01, 0.4],
        "observed_high": [0.2, 0.8],
        "images_in_bin": [100, 12],
    },
    "training": {
        "epoch": [1, 2],
        "loss": [0.7, 0.5],
        "train_accuracy": [0.5, 0.6],
        "test_accuracy": [0.5, 0.55],
        "test_auc": [0.4, 0.6],
    },
}


def draw(title, options, rows):
    """Return the SVG of a plot of dvc.yaml, its template filled as DVC does."""
    template = (ROOT / ".dvc/plots" / f"{options['template']}.json").read_text()
    # As DVC passes a CSV on: text.
    filled = template.replace('"<DVC_METRIC_DATA>"', json.dumps(rows.astype(str).to_dict("records")))
    for anchor, value in {
        "TITLE": title,
        "X": options["x"],
        "Y": next(iter(options["y"].values())),
        "X_LABEL": options["x_label"],
        "Y_LABEL": options.get("y_label", ""),
    }.items():
        filled = filled.replace(f"<DVC_METRIC_{anchor}>", value)
    assert "<DVC_METRIC" not in filled
    return vl_convert.vegalite_to_svg(json.loads(filled), vl_version="v5.20")


@pytest.mark.parametrize("plot", PLOTS, ids=[next(iter(plot)) for plot in PLOTS])
def test_a_template_draws_its_table(plot):
    ((title, options),) = plot.items()
    tables = {Path(path).stem for path in options["y"]}
    assert len(tables) == 1
    rows = pd.DataFrame(ROWS[tables.pop()]).assign(**RUN)
    assert {options["x"], *options["y"].values()} <= set(rows)
    picture = draw(title, options, rows)
    for text in (title, options["x_label"], options.get("y_label", "")):
        assert text in picture
    assert marks(picture), "axes without data"


def drawn(title, rows):
    """Return the SVG of the plot of dvc.yaml with this title, of `rows`."""
    (options,) = (plot[title] for plot in PLOTS if title in plot)
    return draw(title, options, rows)


def headings(picture):
    """Return the lines above each panel."""
    parts = re.findall(r"role-title-text.*?<text[^>]*>(.*?)</text>", picture)
    return [re.findall(r">([^<]+)<", f">{part}<") for part in parts[:-1]]  # the last is the plot's title


def test_the_ladders_rungs_stand_in_the_order_of_their_steps_and_replayed_ones_are_told():
    labels = [f"{name}: yes" for name in "qwertyuiopas"]
    table = pd.DataFrame({"step": range(12), "rung": labels, "mean": 0.5, "low": 0.4, "high": 0.6})
    rows = table.assign(direction="up", net="frozen", measure="AUC", **RUN)
    rows.loc[3, "net"] = "replayed"
    picture = drawn("The ladder", rows.sample(frac=1, random_state=1))
    labels[3] += " (replayed)"
    placed = re.findall(r'translate\(0,([\d.]+)\)"[^>]*>(\w: yes[^<]*)</text>', picture)
    assert [label for _, label in sorted(placed, key=lambda pair: float(pair[0]))] == labels
    assert len(marks(picture)) == 3 * len(labels)  # its name, a point and its interval


@pytest.mark.parametrize("title", [next(iter(plot)) for plot in PLOTS])
def test_panels_of_two_revisions_stand_next_to_each_other_and_one_revision_is_not_named(title):
    (options,) = (plot[title] for plot in PLOTS if title in plot)
    table = pd.DataFrame(ROWS[Path(next(iter(options["y"]))).stem])
    rows = pd.concat([table.assign(**RUN), table.assign(**RUN | {"dataset": "another"})])
    single = headings(draw(title, options, rows))
    assert "workspace" not in str(single)
    double = headings(draw(title, options, pd.concat([rows.assign(rev="HEAD"), rows])))
    assert double == [[*lines, revision] for lines in single for revision in ("HEAD", "workspace")]
    assert "phantom" in str(single[0])  # data sets in the order of the table, not of the alphabet


def test_the_legend_of_the_audits_names_the_kinds_that_have_a_point_and_no_others():
    title = next(title for plot in PLOTS for title, options in plot.items() if options["template"] == "audits")
    picture = drawn(title, pd.DataFrame(ROWS["enough"]).assign(**RUN))
    told = re.findall(r"role-legend-label.*?<text[^>]*>(.*?)</text>", picture)
    assert told == ["pipeline", "hand-made"]


def test_a_replay_of_one_epoch_is_a_point():
    table = pd.DataFrame(ROWS["training"]).head(1).assign(**RUN)
    assert len(marks(drawn("Training", table))) == 2 * 4  # a line of no length and a point, a measure each
