"""The report: what is on the page, that it loads nothing, and that it names where each mark comes from."""

import base64
import dataclasses
import hashlib
import json
import re
import tomllib
from contextlib import chdir
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from ruamel.yaml import YAML
from sklearn.metrics import roc_auc_score

from deepcovid.audits.leakage import NearDuplicates
from deepcovid.audits.registry import AUDITS, sentences
from deepcovid.drawing.steps import File, Sourced, Step
from deepcovid.drawing.svg import STYLE, inline_svg
from deepcovid.errors import UserError, describe
from deepcovid.heatmaps.beside import OTHER, OWN, WITH, Group, MapsBeside
from deepcovid.heatmaps.localisation import NotLocated
from deepcovid.ladder.effects import Effect
from deepcovid.ladder.measuring import Below, Effects, HeadCounts, Ladders, NetLadder, RungResult
from deepcovid.report import figures
from deepcovid.report.checklists import read_checklists
from deepcovid.report.contents import Contents, ShownRun
from deepcovid.report.page import render, render_review, slug
from deepcovid.report.sentences import heat_sentences
from deepcovid.settings.analyses import Detection, EvaluateSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.comparison import AgainstPublished, Beside
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.paired import AucPair, NetsCompared, Pair, RatePair, SeedPairs
from deepcovid.statistics.rates import Runs, evaluate
from deepcovid.statistics.review import review
from deepcovid.statistics.uncertainty import HEADLINES, RunSources, Source, Sources, Uncertainty
from stages.report import report
from tests import audits
from tests.browser import visit
from tests.checkouts import ROOT, parameters, resolve, stage
from tests.radiographs import noise, png
from tests.test_review import table_of
from tests.trained import PAPER

BOOTSTRAP = EvaluateSettings(bootstrap_samples=100, bootstrap_seed=1)
VOID = {"meta", "br", "link", "img", "hr", "input"}
NETS, RECIPES = ("resnet18", "squeezenet1_0"), {"paper": 0.5, "failed-reproduction": 0.2}


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def step(name):
    code, out = f"stages/{name.split('@')[0]}.py", f"data/{name}.csv"
    inputs = (File(code, md5(code), 10), File("data/images.csv", md5("images"), 20))
    return Step(name, f"python -m stages.{name}", {"recipe.x": {"epochs": 4}}, inputs, (File(out, md5(out), 30),))


def one_run(model, recipe, *, replayed=False):
    """A run with random scores, in which covid images score higher."""
    rng = np.random.default_rng(len(model) + len(recipe))
    group = np.repeat(["covid", "normal", "other"], [12, 20, 18])
    positive = group == "covid"
    scores = np.clip(rng.random((50, 2)) * 0.6 + 0.4 * positive[:, None], 0, 1)
    patient = pd.Series([f"patient {number // 2}" for number in range(50)])
    table = pd.DataFrame({"image_id": range(50), "label": np.where(positive, "covid", "non"), "group": group})
    table = table.assign(seed_3=scores[:, 0], seed_4=scores[:, 1], patient_id=patient)
    epochs = pd.DataFrame({"seed": [3] * 4 + [4] * 4, "epoch": [1, 2, 3, 4] * 2})
    log = epochs.assign(loss=0.7 / epochs["epoch"], train_accuracy=0.8, test_accuracy=0.75, test_auc=0.7)
    cut_off = RECIPES[recipe]
    result = evaluate(scores, Bootstrap.of(table, BOOTSTRAP), cut_off)
    recipe += "-replayed" if replayed else ""
    name = f"phantom-{model}-{recipe}"
    evaluated, trained = step(f"evaluate@{name}"), step(f"train@{name}")
    return ShownRun(model, recipe, cut_off, table, result, replayed, log, evaluated, trained)


MEASURED = Estimate(value=0.6, low=0.5, high=0.7)


def rung(direction, number, label, net="frozen"):
    added = Estimate(value=0.05, low=0.01, high=0.09)
    return RungResult(
        direction=direction,
        step=number,
        rung=label,
        flipped=["optimiser"],
        net=net,
        epochs=21,
        heads=5,
        seeds=5,
        auc=MEASURED,
        sensitivity=MEASURED,
        specificity=MEASURED,
        predicted_positive=MEASURED,
        balanced_accuracy=MEASURED,
        collapsed=MEASURED,
        detecting_share=0.6,
        below=Below(auc=added, balanced_accuracy=added) if number else None,
    )


EFFECT = Effect(mean=0.125, min=-0.0625, max=0.25)
LADDER = NetLadder(
    rungs={
        "up-0": rung("up", 0, "failed-reproduction"),
        "up-1": rung("up", 1, "augmented: yes"),
        "down-0": rung("down", 0, "paper"),
        "down-1": rung("down", 1, "optimiser: sgd"),
        "aside-0": rung("aside", 0, "crop: yes", net="replayed"),
    },
    switches=["augmented", "schedule"],
    combinations=64,
    detecting=40,
    smallest=[["augmented"]],
    frozen_failure=HeadCounts(heads=5, collapsed=5, detecting=0),
    remedies={"sampling: balanced": HeadCounts(heads=5, collapsed=0, detecting=5)},
    effects={"augmented": Effects(auc=EFFECT, balanced_accuracy=EFFECT)},
    detection=Detection(sensitivity=0.5, specificity=0.5),
)


def number(name, metric, published, recipe="failed-reproduction", group="attempt"):
    return Beside(
        group=group,
        source="a source",
        name=name,
        metric=metric,
        published_for="resnet18",
        model="resnet18",
        recipe=recipe,
        published=published,
        ours=Estimate(value=0.8, low=0.7, high=0.9),
        difference=0.8 - published,
        inside=0.7 <= published <= 0.9,
        same_test_counts=True,
        note="",
    )


def beside(*numbers):
    return AgainstPublished(
        compared=2, inside=1, of_other_test_images=0, not_run=0, numbers={one.key: one for one in numbers}
    )


PUBLISHED = beside(
    number("AUC", "auc", 0.715),
    number("specificity", "at_sensitivity_98.specificity", 0.75, "paper"),
    *(
        number(cell, f"confusion.{cell}", count)
        for cell, count in zip(("tp", "fp", "fn", "tn"), (0, 0, 12, 38), strict=True)
    ),
)
PNG = png(noise())
BESIDE_STEP = "heatmaps-beside@phantom-resnet18-cohen"
BESIDE = MapsBeside(
    heads="phantom",
    images="cohen",
    model="resnet18",
    recipe="paper",
    groups={
        name: Group(
            images=12,
            patients=11,
            called=called,
            alike={"occlusion": alike, "grad_cam": alike.value},
            middle={"occlusion": None, "grad_cam": 0.4},
        )
        for name, called, alike in ((WITH, 12, MEASURED), (OTHER, 9, MEASURED), (OWN, 0, MEASURED))
    },
)
PARTS = {
    side: {name: {"images": count} for name, count in (("covid", 30), ("non", 70))} for side in ("kept", "dropped")
}
PARTS["dropped"]["reason"] = {"modality": 0, "view": 100}
COUNTED = {
    "filter": PARTS,
    "split": {name: {"train": 10, "test": 10, "left_out": 10} for name in ("covid", "non")},
    "images": {"copies": 40, "quarantined": 0, "images": 80},
}
IMAGES = table_of()
REVIEW = review(
    IMAGES,
    {net: np.linspace(0.9, 0.1, len(IMAGES)) for net in NETS},
    ("paper", Recipe.model_validate(PAPER)),
    0.2,
    Bootstrap.of(IMAGES, BOOTSTRAP),
    {"test": IMAGES},
)
RATES = RatePair(first=0.8, second=0.7, difference=0.1, only_first=4, only_second=1)
PAIR = Pair(
    recipe="paper",
    first="resnet18",
    second="squeezenet1_0",
    auc=AucPair(first=0.8, second=0.7, difference=Estimate(value=0.1, low=0.01, high=0.2)),
    sensitivity=RATES,
    specificity=RATES,
    auc_over_seeds=SeedPairs(seeds=2, mean=0.1, min=0.05, max=0.15),
)
NETS_COMPARED = NetsCompared(compared=1, pairs={PAIR.key: PAIR})


def audited(*tests):
    """What the audits found, with `tests` on other people's images."""
    return {name: Sourced(value, step(f"{name}@phantom")) for name, value in audits.found(*tests).items()}


def all_contents(**changes):
    runs = [one_run(net, recipe) for recipe in RECIPES for net in NETS]
    runs.append(one_run("resnet18", "failed-reproduction", replayed=True))
    files = [
        {
            "name": "x.zip",
            "origin": "mirror",
            "url": "https://example.org/x",
            "bytes": 5,
            "sha256": "a" * 64,
            "edition": "",
        }
    ]
    provenance = {
        "data": Sourced({"source": "phantom", "images": 50, "files": files}, step("download@phantom")),
        "weights-resnet18": Sourced(
            {"model": "resnet18", "origin": "random", "seed": 18, "calibration_images": 8}, step("weights@phantom")
        ),
    }
    put_aside = {
        "phantom": Sourced({}, step("augment@phantom")),
        "phantom-external": Sourced({"ct.dcm": "no radiograph"}, step("augment-test-set@phantom-external")),
    }
    recorded = [made.step for made in (*provenance.values(), *put_aside.values())]
    recorded += [step("ladder@phantom"), step("evaluate@phantom")]
    recorded += [step("localisation@phantom-resnet18"), step(BESIDE_STEP)]
    recorded += [step(f"{name}@phantom") for name in COUNTED]
    recorded += [found.step for found in audited(audits.external()).values()]
    recorded += [made for one in runs for made in (one.trained, one.evaluated)]
    contents = Contents(
        dataset="phantom",
        synthetic=True,
        runs=tuple(runs),
        bootstrap=BOOTSTRAP,
        provenance=provenance,
        put_aside=put_aside,
        parameters={"features": {"batch_size": 32}},
        recipes={"paper": {"epochs": 100, "augmented": True}, "failed-reproduction": {"epochs": 150}},
        steps=tuple(recorded),
        command="python -m stages.report --dataset phantom",
        findings={"resnet18": ("Augmentation turns collapse into detection.",)},
        ladder=Sourced(Ladders(nets={"resnet18": LADDER, "squeezenet1_0": LADDER}), step("ladder@phantom")),
        published=Sourced(PUBLISHED, step("evaluate@phantom")),
        nets=Sourced(NETS_COMPARED, step("evaluate@phantom")),
        nets_sentences=("ResNet18 is better by 0.1.",),
        audits=audited(audits.external()),
        uncertainty=Sourced(uncertain(runs), step("evaluate@phantom")),
        calibration=Sourced(audits.CALIBRATION, step("evaluate@phantom")),
        heatmaps={"resnet18": Sourced(audits.HEATMAPS, step("localisation@phantom-resnet18"))},
        heatmap_pictures={"resnet18": Sourced(PNG, step("localisation@phantom-resnet18"))},
        beside=((Sourced(BESIDE, step(BESIDE_STEP)), Sourced(PNG, step(BESIDE_STEP))),),
        reviews={"phantom": Sourced(REVIEW, step("evaluate@phantom"))},
        counted={name: Sourced(value, step(f"{name}@phantom")) for name, value in COUNTED.items()},
        checklists=read_checklists(ROOT / "reference/checklists.yaml"),
    )
    return dataclasses.replace(contents, **changes)


def uncertain(runs):
    """Every headline of `runs` moves as far, with the patients, the split and the seed."""
    sources = [Source(deviation=0.01 * number, low=0.5, high=0.6 + 0.1 * number, values=7) for number in (1, 2, 3)]
    own = Sources(value=0.55, patients=sources[0], splits=sources[1], seeds=sources[2])
    moving = RunSources(**dict.fromkeys(HEADLINES, own))
    return Uncertainty(runs={f"{one.model}-{one.recipe}": moving for one in runs})


def few_contents(**changes):
    """Contents that are drawn quickly: one run, nothing beside it."""
    runs = (one_run("resnet18", "paper"),)
    ladder = Sourced(Ladders(nets={}), step("ladder@phantom"))
    without = dict.fromkeys(("published", "nets", "uncertainty")) | {"heatmaps": {}, "beside": ()}
    return all_contents(**{"runs": runs, "ladder": ladder, "audits": {}, "calibration": None} | without | changes)


class Page(HTMLParser):
    """A page's elements, checked for balance while read."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs), tuple(self.open)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def html():
    return render(all_contents())


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_every_section_is_there_in_order_and_in_the_contents(page):
    anchors = [attributes["id"] for attributes in page.all("section")]
    expected = (
        "question failure meaning ladder audit heatmaps confusion roc histograms training sure published nets numbers "
        "provenance parameters"
    )
    assert anchors == [*expected.split(), "steps"]
    links = [attributes["href"] for attributes in page.all("a")]
    assert links[: len(anchors)] == [f"#{anchor}" for anchor in anchors]


def test_the_page_says_that_it_is_not_for_diagnosis_and_that_phantoms_mean_nothing(page):
    assert "Research software, not for diagnosis." in page.text
    assert "which says nothing about COVID-19" in page.text
    real = Page(render(few_contents(synthetic=False, dataset="covid-xray-5k"))).text
    assert "Research software, not for diagnosis." in real
    assert "Synthetic" not in real


def test_every_figure_table_and_sentence_names_its_commands_and_hashes(html):
    blocks = re.findall(r"<figure.*?</figure>", html, flags=re.DOTALL)
    assert len(blocks) > 15
    for block in blocks:
        how = block[block.index('<details class="how">') :]
        commands = re.findall(r"<pre><code>(.*?)</code></pre>", how)
        assert commands
        assert all(command.startswith("python -m stages.") for command in commands)
        hashes = re.findall(r'title="md5 ([0-9a-f]{32})"', how)
        assert md5("images") in hashes
        assert len(set(hashes)) >= 3


def test_a_figure_names_the_steps_that_it_was_drawn_from_and_no_others(html):
    (block,) = [part for part in re.findall(r"<figure.*?</figure>", html, flags=re.DOTALL) if 'id="training-' in part]
    named = set(re.findall(r"dvc repro ([\w@-]+)<", block))
    assert len(named) > 3
    assert all(step.startswith(("train@", "replay@")) for step in named)


def test_three_intervals_of_each_number_stand_side_by_side(html, page):
    section = html[html.index('<section id="sure">') : html.index('<section id="published">')]
    assert "trained anew on 7 random splits by patient" in page.text
    assert "<svg" in section
    for cell in ("0.500 to 0.700 (s.d. 0.0100)", "0.500 to 0.800 (s.d. 0.0200)", "0.500 to 0.900 (s.d. 0.0300)"):
        assert cell in " ".join(Page(section).text.split())


def test_the_audit_opens_with_what_is_enough_and_says_what_was_found(html, page):
    section = html[html.index('<section id="audit">') : html.index('<section id="heatmaps">')]
    opening, said = re.findall(r"<figure.*?</figure>", section, flags=re.DOTALL)[:2]
    for row in (*audits.BASELINES.baselines.values(), *list(audits.ACQUISITION.variables.values())[:2]):
        assert row.title in opening
    assert " ".join(sentences(audits.found(audits.external()))) in Page(said).text
    listed = Page(section).text
    assert listed.index("phantom-5") < listed.index("phantom-3")  # leaks are listed by name, most points first
    assert "82 % (77 to 86 %) of 168 copies of other images reach that" in page.text
    assert "1 of 2,168,016 pairs with one other at least, of different patients in training" in page.text
    assert "fewer than 5 patients of covid have it" in page.text
    assert "348 / 100 (84)" in page.text
    assert "within AP alone 160 / 22 0.620 (0.570 to 0.670) 100 11" in page.text
    assert "Reliability under the recipe paper" in page.text
    assert "0.100 (0.080 to 0.120) +0.400 0.050 (0.040 to 0.090)" in page.text


def test_an_audit_that_is_added_has_its_blocks_its_sentence_and_its_row_on_the_page(monkeypatch):
    monkeypatch.setitem(AUDITS, "machines", audits.Machines)
    found = audited() | {"machines": Sourced(audits.Machines(auc=0.98), step("machines@phantom"))}
    text = Page(render(few_contents(audits=found))).text
    assert "What the makers tell." in text
    assert "The machine's maker tells 0.98." in text
    assert "maker of the machine acquisition 0.980 (0.960 to 1.000)" in text
    assert "dvc repro machines@phantom" in text


def test_audits_that_were_not_run_are_named(page):
    assert "Not tested on other people's images" not in page.text
    assert "Not tested on other people's images" in Page(render(few_contents(audits=audited()))).text
    assert "Not run on this data set: the audits." in Page(render(few_contents())).text


def test_near_duplicates_that_were_not_looked_for_are_said_not_to_be():
    found = audited()
    why = NearDuplicates(by="matched points", skipped="there are no copies to choose a threshold on")
    value = audits.LEAKAGE.model_copy(update={"near_duplicates": why})
    found["leakage"] = dataclasses.replace(found["leakage"], value=value)
    assert "not looked for: there are no copies to choose" in Page(render(few_contents(audits=found))).text


def test_heat_maps_are_shown_and_what_was_measured_is_said(html, page):
    section = html[html.index('<section id="heatmaps">') : html.index('<section id="confusion">')]
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in section
    text = Page(section).text
    for sentence in heat_sentences(audits.HEATMAPS):
        assert sentence in text
    assert "lies in the lesion (18 % of the image) 47 % (42 to 52 %) of the time" in text
    assert "-0.08 (-0.18 to +0.02)" in text
    assert "ResNet18, heat in the lungs: not measured; there is no mask." in text
    assert "dvc repro localisation@phantom-resnet18" in text
    assert "Not run on this data set: the heat maps." in Page(render(few_contents())).text


def test_on_patients_images_the_page_says_where_the_overlays_are():
    found = {"heatmaps": all_contents().heatmaps, "synthetic": False, "dataset": "covid-xray-5k"}
    nothing = NotLocated(skipped="there is no mask")
    value = audits.HEATMAPS.model_copy(update={"lesions": nothing})
    found["heatmaps"] = {"resnet18": dataclasses.replace(found["heatmaps"]["resnet18"], value=value)}
    section = render(few_contents(**found))
    section = section[section.index('<section id="heatmaps">') :]
    section = section[: section.index("</section>")]
    assert section.count("<figure") == section.count("<img") == 1  # nothing was measured, so there is nothing to say
    text = Page(render(few_contents(**found))).text
    assert "stay with DVC, in data/covid-xray-5k/overlays/resnet18" in text
    assert "No image of a patient is on this page." in text


def test_heat_without_a_value_or_an_interval_is_told_without():
    net = audits.HEATMAPS
    methods = {
        name: method.model_copy(update={"heat_inside": None, "auc": method.auc.value})
        for name, method in net.lesions.methods.items()
    }
    own = net.model_copy(update={"lesions": net.lesions.model_copy(update={"methods": methods})})
    _, sentence = heat_sentences(own)
    assert "an unknown share of the heat lies inside" in sentence
    assert "the AUC of the map is 0.64, of the blob 0.72" in sentence
    found = {"heatmaps": {"resnet18": Sourced(own, step("localisation@phantom-resnet18"))}}
    assert sentence in Page(render(few_contents(**found))).text


def test_maps_of_images_with_and_without_covid_stand_side_by_side(html):
    text = Page(html).text
    assert BESIDE.sentence() in text
    assert "without COVID-19, of cohen" in text
    nothing = BESIDE.model_copy(update={"groups": {}})
    beside = ((Sourced(nothing, step(BESIDE_STEP)), Sourced(PNG, step(BESIDE_STEP))),)
    assert "with and without COVID-19" not in Page(render(all_contents(beside=beside))).text


def test_the_page_for_reviewers_has_everything_and_says_what_is_missing():
    html = render_review(all_contents())
    ids = [attributes["id"] for _, attributes, _ in Page(html).elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    text = Page(html).text
    for words in (
        "Which images went in?",
        "30 COVID-19, 70 others",
        "Who are the images of?",
        "sex: F",
        "prevalence 5 %",
        "Net benefit",
        "calibration",
        "CLAIM 2024",
        "Research software, not for diagnosis.",
    ):
        assert words in text, words
    without = render_review(all_contents(reviews={}, counted={}, checklists=None))
    for words in ("counts of images", "table of characteristics", "checklists"):
        assert f"Not run on this data set: the {words}." in Page(without).text


@pytest.mark.parametrize("page", [render, render_review])
def test_no_paragraph_has_more_than_sixty_words(page):
    html = page(all_contents())
    paragraphs = re.findall(r"<(p|blockquote|figcaption)(?:\s[^>]*)?>(.*?)</\1>", html, re.DOTALL)
    assert len(paragraphs) > 10
    words = [re.sub(r"<[^>]+>", " ", part).split() for _, part in paragraphs]
    assert [" ".join(part) for part in words if len(part) > 60] == []


def test_links_lead_to_places_on_the_page_and_ids_are_unique(page):
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [attributes["href"] for tag, attributes, _ in page.elements if tag in ("a", "use")]
    assert {target[1:] for target in targets if target != "review.html"} <= set(ids)
    assert slug("train@phantom-resnet18-paper") in ids


def test_every_step_has_its_full_hashes_at_the_end_of_the_page(page):
    steps = page.text[page.text.rindex("Every step, with its hashes") :]
    for made in all_contents().steps:
        for file in (*made.inputs, *made.outputs):
            assert file.md5 in steps


def test_nothing_is_loaded(page, html):
    assert not {tag for tag, _, _ in page.elements} & {"script", "link", "iframe", "object", "embed", "image"}
    loaded = [
        value
        for tag, attributes, _ in page.elements
        for name, value in attributes.items()
        if tag != "a" and name in ("src", "srcset", "href", "xlink:href", "action", "data", "poster")
    ]
    assert all(value.startswith(("#", "data:image/png;base64,")) for value in loaded)
    assert not re.search(r"@import|url\((?!#)", html)
    assert "default-src 'none'; img-src data:; style-src" in html


def test_the_same_contents_give_the_same_bytes(html):
    assert render(all_contents()) == html


def test_the_page_is_small(html):
    assert len(html.encode()) < 1_500_000


def test_every_figure_is_described_for_those_who_do_not_see_it(page):
    pictures = page.all("svg")
    assert len(pictures) > 10
    assert all(picture["role"] == "img" and len(picture["aria-label"]) > 20 for picture in pictures)


def test_text_in_figures_is_text_and_keeps_its_digits(page):
    auc = all_contents().runs[0].result.auc.value
    drawn = "".join(word for word in page.words if "AUC" in word)
    assert f"ResNet18: AUC {auc:.3f} (" in drawn


def test_what_was_measured_is_in_the_tables(page):
    contents = all_contents()
    for made in contents.runs:
        assert f"{made.result.auc.value:.3f}" in page.text
        assert f"({made.result.auc.low:.3f} to {made.result.auc.high:.3f})" in page.text
    assert contents.findings["resnet18"][0] in page.text
    assert contents.nets_sentences[0] in page.text
    assert "0.715" in page.text
    assert "In 1 of 2 comparisons the published number lies inside our 95 % interval." in page.text
    assert "a" * 64 in page.text


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_every_published_point_is_on_the_roc_curve_and_in_its_legend(count):
    marks = [figures.Point(f"point {place}", 0.9 - place / 20, 0.98) for place in range(count)]
    figure = figures.roc_of_nets([one_run("resnet18", "paper")], BOOTSTRAP, marks)
    for axis in figure.axes:
        drawn = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        for mark in marks:
            assert drawn[mark.name] == [[pytest.approx(1 - mark.specificity), mark.sensitivity]]
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert [mark.name for mark in marks] == legend[-count:]


def test_names_and_sentences_are_escaped():
    text = render(few_contents(findings={"resnet18": ("<script>alert(1)</script> & more",)}))
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


def test_a_net_alone_without_ladder_replay_or_comparison_has_a_page_that_says_so():
    runs = (one_run("densenet121", "paper"),)
    without = dict.fromkeys(("ladder", "published", "nets", "uncertainty"))
    text = Page(render(all_contents(runs=runs, findings={}, nets_sentences=(), **without))).text
    for missing in (
        "ladder",
        "released script replayed on the whole net",
        "training on other splits",
        "comparison with published numbers",
    ):
        assert f"Not run on this data set: the {missing}." in text
    assert "Not run on this data set: the paired comparison of nets." in text
    assert "DenseNet-121 at a glance" in text


def test_a_net_without_a_ladder_is_named():
    assert "Not run on this data set: the ladder of ResNet18." in Page(render(few_contents())).text


def test_one_recipe_of_another_name_has_a_page():
    only = dataclasses.replace(one_run("resnet18", "paper"), recipe="my-recipe")
    text = Page(render(few_contents(runs=(only,)))).text
    assert "Not run on this data set: the recipe paper." in text
    assert "Not run on this data set: the recipe failed-reproduction with ResNet18." in text
    assert f"{roc_auc_score(only.positive, only.score):.3f}" in text


def test_colours_of_the_page_are_variables_and_ids_are_the_figures_own():
    figure = Figure()
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=STYLE["text.color"], clip_on=True)
    svg = inline_svg(figure, "mine", "A line.")
    assert "var(--ink)" in svg
    assert all(name.startswith("mine-") for name in re.findall(r'\bid="([^"]+)"', svg))
    assert all(name.startswith("mine-") for name in re.findall(r"url\(#([^)]+)\)", svg))


# The stage.


@pytest.fixture
def results(checkout, tmp_path):
    """A checkout with the results of two runs on phantom and a dvc.lock that records them."""
    yaml = YAML()
    params = yaml.load(checkout / "params.yaml")
    params["models"], params["recipes"], params["replays"] = ["resnet18"], list(RECIPES), []
    params["evaluate"]["bootstrap_samples"] = 100
    yaml.dump(params, checkout / "params.yaml")
    resolve(checkout)
    made = all_contents()
    outputs = {"data/phantom/images.csv": "image_id\n"}
    shown = {f"{one.model}-{one.recipe}": one for one in made.runs if one.model == "resnet18" and not one.replayed}
    found = {name: getattr(made, name).value for name in ("ladder", "published", "nets", "calibration", "uncertainty")}
    found |= {name: part.value for name, part in audited(audits.external("phantom-external")).items()}
    found |= {
        "heatmaps/resnet18": audits.HEATMAPS,
        "heatmaps/resnet18-beside-phantom-external": BESIDE,
        "review": REVIEW,
        "review-phantom-external": REVIEW,
        "runs": Runs(runs={name: one.result for name, one in shown.items()}),
    }
    for name, result in found.items():
        outputs[f"results/phantom/{name}.json"] = result.model_dump_json(exclude_none=True)
    for one in shown.values():
        place = f"frozen/{one.model}/{one.recipe}.csv"
        outputs[f"data/phantom/scores/{place}"] = one.scores.to_csv(index=False)
        outputs[f"data/phantom/training/{place}"] = one.log.to_csv(index=False)
    outputs |= {f"results/phantom/{name}.json": json.dumps(value) for name, value in COUNTED.items()}
    for name in ("resnet18", "resnet18-beside-phantom-external"):
        outputs[f"plots/heatmaps/phantom/{name}.png"] = "a picture"
    for name, recorded in made.provenance.items():
        place = name.replace("weights-", "weights/")
        outputs[f"provenance/phantom/{place}.json"] = json.dumps(recorded.value)
    for name, recorded in made.put_aside.items():
        outputs[f"provenance/{name}/quarantined.json"] = json.dumps(recorded.value)
    stages = {}
    for path, text in outputs.items():
        (checkout / path).parent.mkdir(parents=True, exist_ok=True)
        (checkout / path).write_text(text)
        out = {"path": path, "hash": "md5", "md5": md5(text), "size": len(text)}
        maker = "train" if "training" in path or "scores" in path else path.split("/")[-1].split(".")[0]
        stages.setdefault(f"{maker}@phantom", {"cmd": f"make {maker}", "deps": [], "outs": []})["outs"].append(out)
    stages["train@phantom"]["deps"] = stages["images@phantom"]["outs"]
    yaml.dump({"schema": "2.0", "stages": stages}, checkout / "dvc.lock")
    return checkout


def test_the_stage_writes_the_page_with_the_hashes_of_dvc_lock(results):
    first = stage(results, "report", "--dataset", "phantom")
    assert first.returncode == 0, first.stderr
    text = (results / "data/phantom/report.html").read_text()
    lock = YAML(typ="safe").load(results / "dvc.lock")["stages"]
    for name, entry in lock.items():
        assert slug(name) in text
        assert all(out["md5"] in text for out in entry["outs"])
    assert "Every image of phantom could be used. 1 image of phantom-external could not be used and was put" in text
    order = [text.index(f'id="{slug(name)}"') for name in ("images@phantom", "train@phantom")]
    assert order == sorted(order)
    beside = (results / "data/phantom/review.html").read_text()
    assert 'href="review.html"' in text
    assert 'href="report.html"' in beside
    with chdir(results):
        report(parameters(), "phantom")
    assert (results / "data/phantom/report.html").read_text() == text
    assert (results / "data/phantom/review.html").read_text() == beside


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "dvc.lock").unlink(), "dvc.lock: "),
        (lambda folder: (folder / "dvc.lock").write_text("stages:\n"), "dvc.lock: "),
        (lambda folder: (folder / "dvc.lock").write_text("a: [\n"), "dvc.lock: "),
        (
            lambda folder: (folder / "results/phantom/runs.json").write_text("{}"),
            "results/phantom/runs.json: is not as the stage left it",
        ),
        (
            lambda folder: (folder / "results/phantom/leakage.json").write_text('{"leaks": {'),
            "results/phantom/leakage.json: is not as the stage left it",
        ),
        (
            lambda folder: (folder / "dvc.lock").write_text(
                (folder / "dvc.lock").read_text().replace("phantom/ladder.json", "phantom/other.json")
            ),
            "results/phantom/ladder.json: is the output of no stage",
        ),
        (
            lambda folder: (folder / "data/phantom/scores/frozen/resnet18/paper.csv").unlink(),
            "data/phantom/scores/frozen/resnet18/paper.csv: ",
        ),
    ],
)
def test_a_record_that_does_not_fit_is_one_line_with_the_remedy(results, spoil, said):
    spoil(results)
    with chdir(results), pytest.raises((UserError, OSError)) as caught:
        report(parameters(), "phantom")
    message = describe(caught.value)
    assert message.startswith(said)
    assert "dvc repro" in message
    assert "\n" not in message
    assert not (results / "data/phantom/report.html").exists()


def test_the_template_and_the_style_are_package_data():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folder = ROOT / "deepcovid/report"
    patterns = project["tool"]["setuptools"]["package-data"]["deepcovid.report"]
    packaged = {path for pattern in patterns for path in folder.glob(pattern)}
    others = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others == packaged
    assert {path.name for path in packaged} == {"report.html.j2", "style.css"}


def test_in_a_browser_the_page_shows_its_pictures_and_tables_and_asks_nobody_for_anything(tmp_path, html):
    count = """<script>addEventListener("load", () => {
        const shown = (selector) => [...document.querySelectorAll(selector)]
            .filter((element) => element.getBoundingClientRect().width > 100).length;
        document.title = `${shown("figure svg, figure img")} pictures, ${shown("table")} tables`;
    });</script>"""
    page = tmp_path / "report.html"
    page.write_text(html, encoding="utf-8")
    seen = visit(page)
    assert seen.requests == []
    assert seen.console == []
    assert "Research software, not for diagnosis" in seen.dom
    # The page forbids scripts; a copy without that lets one count what is drawn.
    policy = re.search(r'<meta http-equiv="Content-Security-Policy".*?>', html)
    page.write_text(html.replace(policy[0], count), encoding="utf-8")
    pictures, tables = map(int, re.search(r"<title>(\d+) pictures, (\d+) tables", visit(page).dom).groups())
    assert pictures == html.count("<svg") + html.count("<img")
    assert tables >= 4
