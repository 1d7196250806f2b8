"""README and docs: filled in from results, links that lead somewhere, commands that exist, short paragraphs."""

import re

import pytest
from ruamel.yaml import YAML

from deepcovid.audits.registry import AUDITS, sentences
from deepcovid.commands import main, parser
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.errors import UserError
from deepcovid.report import markdown
from deepcovid.report.pages import pages
from deepcovid.report.results import Results
from deepcovid.statistics.comparison import Beside, OverHeads
from deepcovid.statistics.estimate import Estimate, write_result
from tests.audits import Machines, external, found
from tests.checkouts import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEMPLATES = ROOT / "docs/templates"
# Where a number may be typed: every page that no template writes, and the templates.
TYPED = [*(page for page in PAGES if not page.read_text().startswith("<!-- Written by")), *TEMPLATES.glob("*.j2")]
# Digits in prose that are no results.
NAMES = (
    r"COVID-19|X-ray|ResNet18|ResNet50|DenseNet-121|Deep-COVID|CheXpert-v1\.0-small|Apache-2\.0|PyTorch",
    r"Python 3\.\d+ or newer|\d GB of disk",  # what it runs on
    r"\b(19|20)\d\d\b|65:101794|section 4\.7|part 2, method 5|\(issue 1 of",  # sources
    r"95 %|sensitivity 98 %|V7 Labs",  # levels that the paper chose
)


def text_of(page):
    return page.read_text(encoding="utf-8")


def without_code(text):
    """Return Markdown without its code, comments, addresses and what a template fills in."""
    text = re.sub(r"```.*?```|<!--.*?-->|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", "", text, flags=re.DOTALL)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def test_the_pages_are_what_the_results_say(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["docs", "--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("page", TYPED, ids=lambda page: page.name)
def test_no_number_in_prose_is_typed(page):
    prose = without_code(text_of(page))
    for name in NAMES:
        prose = re.sub(name, "", prose)
    assert re.findall(r".{0,40}\d+.{0,20}", prose) == [], "take the number from a results file, in docs/templates"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_paragraph_is_longer_than_sixty_words(page):
    parts = re.split(r"\n\s*\n", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL))
    prose = (part for part in parts if not part.lstrip().startswith(("|", "    ", "<", "- ", "#")))
    assert [part for part in prose if len(part.split()) > 60] == []


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 8192


def test_the_readme_shows_what_make_repro_says_at_its_end():
    (said,) = re.findall(r'^\t@echo "(The report .*)"$', text_of(ROOT / "Makefile"), re.MULTILINE)
    assert f"\n        {said}\n" in text_of(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", text_of(linked), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings], target


def test_every_command_with_a_parameter_names_one_that_exists():
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    keys = {key for page in PAGES for key in re.findall(r"-S '?([a-z][\w.-]+)=", text_of(page))}
    assert len(keys) >= 10
    for key in keys:
        value = params
        for part in key.split("."):
            value = value[part]


def test_commands_are_understood():
    whole = "\n".join(text_of(page) for page in PAGES)
    examples = set(re.findall(r"^    deepcovid (.*)$", whole, re.MULTILINE))
    assert len(examples) >= 3
    for example in examples:
        parser().parse_args(example.split())


@pytest.mark.parametrize("name", ["README.md", "docs/story.md", "docs/heads.md", "docs/results/covid-xray-5k.md"])
def test_where_scores_are_shown_it_says_that_it_is_no_medical_device(name):
    assert re.search("not for diagnosis|for research only", text_of(ROOT / name), re.IGNORECASE)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{{ result('phantom', 'nothing') }}", "results/phantom/nothing.json: no such result; there is acquisition"),
        ("{{ run('phantom', 'resnet18', 'peper').auc }}", "has no resnet18-peper; there is resnet18-paper"),
        ("{{ rung('phantom', 'resnet18', 'up nowhere') }}", "has no up nowhere; there is"),
        ("{{ run('phantom', 'resnet18', 'paper').ouc | spread }}", "has no attribute 'ouc'"),
        ("{{ params.nothing }}", "'params' is undefined"),
        ("{{ spread", "unexpected"),
    ],
)
def test_a_key_that_no_result_has_is_an_error_that_names_the_line(line, said, tmp_path):
    (tmp_path / "page.md.j2").write_text(f"# Page\n\n{line}\n")
    with pytest.raises(UserError, match=re.escape(said)) as error:
        list(pages(tmp_path, Results(ROOT / "results"), {}))
    assert str(error.value).startswith(f"{tmp_path}/page.md.j2:")
    assert re.match(r".*page\.md\.j2:[34]: ", str(error.value))


def test_pages_are_written_and_named_and_only_named_with_check(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="docs/templates: no such folder; run this in the project's folder"):
        main(["docs"])
    for path in ("docs/templates", "reference"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "params.yaml").write_text("size: 112\n")
    (tmp_path / "reference/published.yaml").write_text("groups: {}\n")
    (tmp_path / "reference/plan.yaml").write_text("studies: {}\n")
    (tmp_path / "docs/templates/README.md.j2").write_text("{{ params.size }} pixels\n")
    assert main(["docs", "--check"]) == 1
    assert not (tmp_path / "README.md").exists()
    assert main(["docs"]) == 0
    assert (tmp_path / "README.md").read_text().splitlines()[-1] == "112 pixels"
    assert main(["docs", "--check"]) == 0
    assert capsys.readouterr().out.split() == ["README.md", "README.md"]


@pytest.mark.parametrize("page", sorted((ROOT / "docs/results").glob("*.md")), ids=lambda page: page.stem)
def test_the_results_name_recipes_and_rungs_as_people_do_and_give_each_key_once(page):
    text = page.read_text("utf-8")
    keys = re.findall(r"^\| .* \| `([\w-]+)` \|$", text, re.MULTILINE)
    assert keys
    titles = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if re.search(r"\| `[\w-]+` \|$", line)]
    assert titles == [title_of_recipe(key) for key in keys]
    assert re.findall(r"(?<!`)(?:failed-reproduction|released-code|released-readme)[\w-]*(?!`)", text) == []
    assert re.findall(r"\b(?:cut_off|batch_norm|random_crop): ", text) == []


def test_a_row_says_whether_the_published_value_is_inside_and_leaves_it_out_for_other_test_images():
    row = Beside(
        group="paper",
        source="a source",
        name="AUC of a net",
        metric="auc",
        published_for="resnet18",
        model="resnet18",
        recipe="paper",
        published=0.9,
        ours=Estimate(value=0.95, low=0.93, high=0.97),
        varies="patients",
        difference=0.05,
        inside=False,
        same_test_counts=True,
        note="",
    )
    heads = OverHeads(heads=2, min=0.89, max=0.95, inside=True)
    other = row.model_copy(update={"same_test_counts": False, "over_heads": heads, "group": "other"})
    count = Estimate(value=2, low=0.5, high=7)
    count = row.model_copy(update={"metric": "confusion.tp", "published": 0, "ours": count, "difference": 2})
    _, _, first, second, third = markdown.published([row, other, count]).splitlines()
    assert (
        first == "| paper | AUC of a net | 0.90 | ResNet18 | paper's text | 0.950 (0.930 to 0.970) |  | +0.050 | no |"
    )
    assert second.endswith("| 0.890 to 0.950 (inside) | +0.050 | other test images |")
    assert "| 2 (0 to 7) |  | +2 |" in third


def test_what_the_audits_found_is_told_and_compared_those_that_a_test_adds_too(tmp_path, monkeypatch):
    monkeypatch.setitem(AUDITS, "machines", Machines)
    results = found(external("cohen")) | {"machines": Machines(auc=0.98)}
    for name, result in results.items():
        write_result(tmp_path / f"phantom/{name}.json", result)
    told = markdown.audits(Results(tmp_path), "phantom")
    assert told.splitlines() == [f"- {sentence}" for sentence in sentences(results)]
    assert "The machine's maker tells 0.98" in told
    assert markdown.ways(Results(tmp_path), "phantom").splitlines()[2:5] == [
        "| ResNet18, ImageNet weights | pipeline | 512 | 0.990 (0.970 to 1.000) |",
        "| ResNet18, trained on cohen without COVID-19 | never saw COVID-19 |  | 0.980 (0.930 to 1.030) |",
        "| maker of the machine | acquisition |  | 0.980 (0.960 to 1.000) |",
    ]
