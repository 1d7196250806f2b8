"""The plot templates are valid Vega-Lite that draws what dvc.yaml puts in; drawn here without a browser."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import vl_convert
from ruamel.yaml import YAML

from tests.checkouts import ROOT

PLOTS = [item for item in YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"] if isinstance(item, dict)]
RUN = {"dataset": "phantom", "model": "resnet18", "recipe": "paper", "rev": "workspace"}
ROWS = {
    "roc": {"false_positive_rate": [0, 0.1, 1], "true_positive_rate": [0, 0.8, 1], "cut_off": [1, 0.5, 0]},
    "precision_recall": {"recall": [1, 0.5, 0], "precision": [0.2, 0.6, 1], "cut_off": [0, 0.5, 1]},
    "cut_offs": {"cut_off": [0, 1], "rate": ["sensitivity"] * 2, "value": [1, 0]},
    "histogram": {"group": ["covid", "normal"], "low": [0, 0.5], "high": [0.5, 1], "share": [0.3, 0.7]},
    "confusion": {"actual": ["covid", "non"], "predicted": ["covid", "non"], "images": [93, 7]},
    "training": {"epoch": [1, 2], "loss": [0.7, 0.5], "train_accuracy": [0.5, 0.6], "test_accuracy": [0.5, 0.55]},
}


@pytest.mark.parametrize("plot", PLOTS, ids=[next(iter(plot)) for plot in PLOTS])
def test_a_template_draws_its_table(plot):
    ((title, options),) = plot.items()
    tables = {Path(path).stem for path in options["y"]}
    assert len(tables) == 1
    # As DVC passes a CSV on: text.
    rows = pd.DataFrame(ROWS[tables.pop()]).assign(**RUN).astype(str).to_dict("records")
    assert {options["x"], *options["y"].values()} <= set(rows[0])
    template = (ROOT / ".dvc/plots" / f"{options['template']}.json").read_text()
    filled = template.replace('"<DVC_METRIC_DATA>"', json.dumps(rows))
    for anchor, value in {
        "TITLE": title,
        "X": options["x"],
        "Y": next(iter(options["y"].values())),
        "X_LABEL": options["x_label"],
        "Y_LABEL": options["y_label"],
    }.items():
        filled = filled.replace(f"<DVC_METRIC_{anchor}>", value)
    assert "<DVC_METRIC" not in filled
    picture = vl_convert.vegalite_to_svg(json.loads(filled), vl_version="v5.20")
    assert options["x_label"] in picture
    assert options["y_label"] in picture
    marks = re.findall(r'role="graphics-symbol"', picture)
    assert marks, "nothing was drawn"
