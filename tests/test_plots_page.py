"""`dvc plots show` and `dvc plots diff` draw in a browser that has no network."""

import html
import json
import re
import shutil
import sys

import pandas as pd
import pytest
from ruamel.yaml import YAML

from deepcovid.errors import UserError
from tests.browser import visit
from tests.checkouts import PATH, ROOT, copy_of_checkout, run
from tests.vega import marks
from tools import plots_page

pytestmark = pytest.mark.pipeline

PLOTS = YAML(typ="safe").load(ROOT / "dvc.yaml")["plots"]
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")
TITLES = {next(iter(item)) for item in PLOTS if isinstance(item, dict)}
PICTURES = [item for item in PLOTS if isinstance(item, str)]
# Contact sheets are DVC's to keep, not git's: a fresh clone has none of them, and the page then says nothing of them.
MISSING: list[str] = []
# `python` and `dvc` are to be those that run the tests.
ENVIRONMENT = {"PATH": PATH}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A fresh clone: the project with its committed plots, in a git repository."""
    folder = copy_of_checkout(tmp_path_factory.mktemp("plots"))
    shutil.copytree(ROOT / "plots", folder / "plots")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        result = run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *command], folder)
        assert result.returncode == 0, result.stderr
    return folder


def dvc_plots(repository, target, *command):
    """Run `dvc plots ...`, which writes a page to `target`."""
    result = run([sys.executable, "-m", "dvc", "plots", *command, "-o", str(target)], repository, **ENVIRONMENT)
    assert result.returncode == 0, result.stderr


def opened(repository, target, *command):
    """Run `dvc plots ...` and open the page that it wrote."""
    dvc_plots(repository, target, *command)
    return visit(target / "index.html")


def pictures(seen):
    """Return the page's plots as SVG, by title."""
    found = re.findall(r'<div id="([^"]*)" class="vega-embed.*?(<svg [^>]*class="marks".*?</svg>)', seen.dom, re.DOTALL)
    return {name.replace("_", " "): svg for name, svg in found}


def complaints(seen):
    """Return the console's lines but Vega's warnings, and what the page says instead of a plot."""
    instead = re.findall(r"<div id=[^>]*>([^<]*(?:could not be drawn|nothing to draw))", seen.dom)
    return [line for line in seen.console if not line.startswith('"WARN')] + instead


def test_every_plot_is_drawn_and_no_request_leaves_the_machine(repository, tmp_path):
    seen = opened(repository, tmp_path / "page", "show")
    assert seen.requests == []
    assert complaints(seen) == MISSING
    shown = re.findall(r'<img[^>]* src="(static/[^"]+)"', seen.dom)
    kept = [path for folder in PICTURES for path in (repository / folder / "phantom").rglob("*.png")]
    assert len(shown) == len(kept) >= 2  # of the data sets that run today
    for path in kept:
        assert path.read_bytes() in {(tmp_path / "page" / name).read_bytes() for name in shown}
    drawn = pictures(seen)
    assert set(drawn) == TITLES
    for title, svg in drawn.items():
        assert f">{title}</text>" in svg
        assert marks(svg), f"{title}: axes without data"
    assert "not for diagnosis" in seen.dom


def test_a_diff_shows_both_revisions_of_the_confusion_matrix(repository, tmp_path):
    path = repository / "plots/tables/confusion.csv"
    table = pd.read_csv(path)
    failed = (table["dataset"] == "phantom") & (table["recipe"] == "failed-reproduction")
    changed = table.assign(images=table["images"].where(~failed, 4321))
    changed.to_csv(path, index=False)
    try:
        seen = opened(repository, tmp_path / "page", "diff", "HEAD")
    finally:
        table.to_csv(path, index=False)
    assert seen.requests == []
    assert complaints(seen) == MISSING
    shown, svg = {}, pictures(seen)["Confusion matrices"]
    for cell in marks(svg):
        if cell["dataset"] == "phantom" and cell["recipe"] == "failed-reproduction":
            shown.setdefault(cell["revision"], set()).add(cell["images"].replace(",", ""))
    assert shown == {"HEAD": {str(count) for count in table.loc[failed, "images"]}, "workspace": {"4321"}}
    faint = [
        label for label in re.findall(r'aria-label="([^"]*)"[^>]*opacity="0.25"', svg) if "dataset: phantom" in label
    ]
    assert {re.search("recipe: ([^;]*)", label)[1] for label in faint} == {"paper", "released-code"}


# What a reader sees of a page, asked once everything is drawn. The page is in a frame, since no window of Chromium is
# as narrow as a phone.
FRAME = """<iframe src="index.html" style="width: {width}px; height: 1000px; border: 0"></iframe>
<script>onmessage = (message) => {{ document.body.dataset.measured = message.data; }}</script>"""
MEASURE = """<script>setTimeout(() => {
  const cut = (text) => {
    const [own, all] = [text, text.closest("svg")].map((part) => part.getBoundingClientRect());
    return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1 || own.bottom > all.bottom + 1;
  };
  const plots = [...document.querySelectorAll("svg.marks")].map((svg) => {
    const texts = [...svg.querySelectorAll("text")].filter((text) => text.textContent);
    return {
      title: svg.closest("main > div").id.replaceAll("_", " "),
      width: svg.clientWidth,
      cut: texts.filter(cut).map((text) => text.textContent),
      smallest: Math.min(...texts.map((text) => parseFloat(getComputedStyle(text).fontSize))),
      legends: svg.querySelectorAll(".role-legend").length,
      svg: svg.outerHTML,
    };
  });
  parent.postMessage(JSON.stringify({width: document.documentElement.scrollWidth, plots}), "*");
}, 8000)</script>"""


@pytest.fixture(scope="module", params=[["show"], ["diff", "HEAD"]], ids=["show", "diff"])
def page_of_two_data_sets(request, repository, tmp_path_factory):
    """The page where the second data set was just run, with long names and replays of one epoch."""
    kept = {path: path.read_bytes() for path in (repository / "plots/tables").iterdir()}
    for path in kept:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        second = table.assign(dataset="covid-xray-5k")
        if "recipe" in table:
            second["recipe"] = second["recipe"].replace("failed-reproduction", "failed-reproduction-replayed")
        if "epoch" in table:
            second = second[second["epoch"] == "1"]
        pd.concat([table, second]).to_csv(path, index=False)
    target = tmp_path_factory.mktemp("page")
    try:
        dvc_plots(repository, target, *request.param)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
    page = target / "index.html"
    page.write_text(page.read_text() + MEASURE)
    return target


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_scrolls_sideways_no_label_is_cut_and_no_text_is_small(page_of_two_data_sets, width):
    frame = page_of_two_data_sets / f"{width}.html"
    frame.write_text(FRAME.format(width=width))
    (measured,) = re.findall(r'data-measured="([^"]*)"', visit(frame, width=1400).dom)
    seen = json.loads(html.unescape(measured))
    assert seen["width"] == width
    assert [plot["title"] for plot in seen["plots"]] == [next(iter(item)) for item in PLOTS if isinstance(item, dict)]
    for plot in seen["plots"]:
        assert plot["width"] <= min(width, 1240), plot["title"]
        assert plot["cut"] == [], plot["title"]
        assert plot["smallest"] >= 11, plot["title"]
        assert plot["legends"] == 1, plot["title"]
        assert marks(plot["svg"]), f"{plot['title']}: axes without data"
        for dataset in ("phantom", "covid-xray-5k"):
            assert dataset in plot["svg"], plot["title"]


def test_a_plot_that_cannot_be_drawn_is_said_in_its_place(tmp_path):
    page = tmp_path / "index.html"
    plots = "".join(
        f'<div id="{name}"><script>vegaEmbed("#{name}", {specification})</script></div>'
        for name, specification in {"broken": '{"mark": 1}', "missing": "{}"}.items()
    )
    page.write_text(plots_page.page().replace("{plot_divs}", plots))
    said = complaints(visit(page))
    assert any("broken could not be drawn" in line for line in said)
    assert any("missing: nothing to draw" in line for line in said)


def test_the_committed_page_is_what_the_tool_writes():
    assert (ROOT / ".dvc/plots_page.html").read_bytes() == plots_page.page().encode(), (
        "run `python -m tools.plots_page`"
    )


def test_the_page_has_dvcs_placeholders_once_and_no_scripts_from_elsewhere():
    page = plots_page.page()
    assert [page.count(text) for text in ("{plot_divs}", "{refresh_tag}", "{scripts}")] == [1, 1, 0]
    assert re.findall(r"</?script[^>]*>", page) == ["<script>", "</script>"]
    assert "<link" not in page


@pytest.mark.parametrize("text", ["{scripts}", "{plot_divs}", "</script>", "<!-- "])
def test_javascript_that_would_break_the_page_is_refused(monkeypatch, text):
    monkeypatch.setattr(plots_page.vl_convert, "javascript_bundle", lambda *_, **__: f"const a = '{text}';")
    with pytest.raises(UserError, match=re.escape(repr(text.strip().rstrip(">")))):
        plots_page.page()
