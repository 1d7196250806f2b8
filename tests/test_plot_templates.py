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
        "title": ["three sharpness figures", "ResNet18, ImageNet weights"],
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


LADDER = {
    "template": "ladder",
    "x": "mean",
    "y": {"plots/tables/ladder.csv": "rung"},
    "x_label": "mean over seeds",
    "y_label": "rung",
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
        "Y_LABEL": options["y_label"],
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
    assert options["x_label"] in picture
    assert options["y_label"] in picture
    assert marks(picture), "axes without data"


def test_the_ladders_rungs_stand_in_the_order_of_their_steps():
    steps = list(range(12))
    labels = [f"+ {name}" for name in "qwertyuiopas"]
    table = pd.DataFrame({"step": steps, "rung": labels, "mean": 0.5, "low": 0.4, "high": 0.6})
    rows = table.assign(direction="up", net="frozen", measure="AUC", **RUN)
    picture = draw("Ladder", LADDER, rows.sample(frac=1, random_state=1))
    assert re.findall(r">(\+ \w)</text>", picture) == labels
    assert len(marks(picture)) == 2 * len(labels)  # a point and its interval


def test_the_ladder_tells_replayed_from_frozen_and_one_revision_from_another():
    table = pd.DataFrame(ROWS["ladder"]).assign(**RUN)
    rows = pd.concat([table, table.assign(rev="HEAD")])
    picture = draw("Ladder", LADDER, rows)
    assert ">+ random crop</text>" in picture
    assert ">+ random crop (replayed)</text>" in picture
    points = re.findall(r'revision: (\w+)[^>]*aria-roledescription="point"[^>]* d="([^"]*)"', picture)
    assert len(points) == len(rows)
    assert len(set(points)) == 2  # a shape for each revision
    assert len({shape for _, shape in points}) == 2


def test_a_confusion_matrix_stands_beside_that_of_the_other_revision_and_what_changed_is_framed():
    table = pd.DataFrame(ROWS["confusion"]).assign(**RUN)
    other = table.assign(rev="HEAD", images=[93, 8])
    (options,) = (plot["Confusion matrices"] for plot in PLOTS if "Confusion matrices" in plot)
    picture = draw("Confusion matrices", options, pd.concat([table, other]))
    assert picture.count(">HEAD<") == picture.count(">workspace<") == 1
    framed = re.findall(r'images: (\d+)[^>]*"rect mark"[^>]* stroke="#', picture)
    assert sorted(framed) == ["7", "8"]
    assert ">workspace<" not in draw("Confusion matrices", options, table)
