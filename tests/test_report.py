"""The report: what is on the page, that it loads nothing, and that it names where each mark comes from."""

import base64
import dataclasses
import hashlib
import json
import re
import tomllib
from contextlib import chdir
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from markupsafe import Markup
from matplotlib.figure import Figure
from ruamel.yaml import YAML
from sklearn.metrics import roc_auc_score

from deepcovid.audits.leakage import NearDuplicates
from deepcovid.audits.registry import AUDITS, read_results, sentences
from deepcovid.audits.verdict import verdict
from deepcovid.drawing.steps import File, Sourced, Step
from deepcovid.drawing.svg import STYLE, inline_svg
from deepcovid.drawing.titles import RECIPES as TITLES
from deepcovid.drawing.titles import SWITCHES, title_of_recipe, title_of_rung
from deepcovid.errors import UserError, describe
from deepcovid.heatmaps.beside import OTHER, OWN, WITH, Group, MapsBeside
from deepcovid.heatmaps.localisation import NotLocated
from deepcovid.ladder.effects import Effect
from deepcovid.ladder.measuring import Below, Effects, HeadCounts, Ladders, NetLadder, RungResult
from deepcovid.nets.zoo import NETS as ALL_NETS
from deepcovid.nets.zoo import title_of
from deepcovid.report import figures, sections
from deepcovid.report.cause import cause
from deepcovid.report.checklists import read_checklists
from deepcovid.report.contents import Contents, ShownRun
from deepcovid.report.page import render, render_review, slug
from deepcovid.report.results import Results
from deepcovid.report.sentences import (
    below_the_bar,
    claim_sentences,
    finding,
    heat_sentences,
    in_one_sentence,
    sanity_sentences,
    whole_nets,
)
from deepcovid.settings.analyses import Detection, EvaluateSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.comparison import AgainstPublished, Beside
from deepcovid.statistics.counts import Confusion
from deepcovid.statistics.estimate import Bounds, Estimate
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


def failing(result):
    """The result, but that every head calls all images alike."""
    alike = result.over_seeds.collapsed.model_copy(update={"mean": None, "max": 1.0})
    return result.model_copy(update={"over_seeds": result.over_seeds.model_copy(update={"collapsed": alike})})


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
RATES = RatePair(
    first=0.8, second=0.7, difference=0.1, patients=Bounds(low=0.02, high=0.18), only_first=4, only_second=1
)
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
        "phantom-external": Sourced({"ct.dcm": "no radiograph"}, step("external-images@phantom-external")),
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
        random_weights=True,
        runs=tuple(runs),
        bootstrap=BOOTSTRAP,
        provenance=provenance,
        put_aside=put_aside,
        parameters={"features": {"batch_size": 32}},
        recipes={"paper": {"epochs": 100, "augmented": True}, "failed-reproduction": {"epochs": 150}},
        steps=tuple(recorded),
        command="python -m stages.report --dataset phantom",
        findings={
            "resnet18": ("Augmentation turns collapse into detection.",),
            "squeezenet1_0": ("It always detects.",),
        },
        ladder=climbed(NETS),
        published=Sourced(PUBLISHED, step("evaluate@phantom")),
        published_matrices={},
        nets=Sourced(NETS_COMPARED, step("evaluate@phantom")),
        nets_sentences=("ResNet18 is better by 0.1.",),
        audits=audited(audits.external()),
        tested={"elsewhere": (one_run("resnet18", "paper"),)},
        uncertainty=uncertain(runs),
        calibration=Sourced(audits.CALIBRATION, step("evaluate@phantom")),
        heatmaps={"resnet18": Sourced(audits.HEATMAPS, step("localisation@phantom-resnet18"))},
        heatmap_pictures={"resnet18": Sourced(PNG, step("localisation@phantom-resnet18"))},
        beside=((Sourced(BESIDE, step(BESIDE_STEP)), Sourced(PNG, step(BESIDE_STEP))),),
        reviews={"phantom": Sourced(REVIEW, step("evaluate@phantom"))},
        counted={name: Sourced(value, step(f"{name}@phantom")) for name, value in COUNTED.items()},
        checklists=read_checklists(ROOT / "reference/checklists.yaml"),
    )
    return dataclasses.replace(contents, **changes)


def climbed(nets):
    """Every one of `nets` has the same ladder."""
    return Sourced(Ladders(nets=dict.fromkeys(nets, LADDER)), step("ladder@phantom"))


def uncertain(runs):
    """Every headline of `runs` moves as far, with the patients, the split and the seed."""
    sources = [Source(deviation=0.01 * number, low=0.5, high=0.6 + 0.1 * number, values=7) for number in (1, 2, 3)]
    own = Sources(value=0.55, patients=sources[0], splits=sources[1], seeds=sources[2])
    moving = RunSources(**dict.fromkeys(HEADLINES, own))
    moved = Uncertainty(runs={f"{one.model}-{one.recipe}": moving for one in runs})
    return Sourced(moved, step("evaluate@phantom"))


def few_contents(**changes):
    """Contents that are drawn quickly: one run, and beside it only what no data set lacks."""
    runs = changes.get("runs", (one_run("resnet18", "paper"),))
    fewest = {
        "runs": runs,
        "ladder": climbed([one.model for one in runs]),
        "uncertainty": uncertain(runs),
        "published": Sourced(beside(), step("evaluate@phantom")),
        "nets": Sourced(NetsCompared(compared=0, pairs={}), step("evaluate@phantom")),
        "audits": audited(),
        "heatmaps": {},
        "beside": (),
    }
    return all_contents(**fewest | changes)


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


def without_pictures(contents):
    """Return the page without its figures, whose drawing takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deepcovid.drawing.blocks.inline_svg", lambda figure, name, alt: Markup())
        return render(contents)


def text_of(contents):
    """Return what is read on the page, figures aside."""
    return Page(without_pictures(contents)).text


@pytest.fixture(scope="module")
def least():
    """What is read on the page of a data set with one run and nothing that a data set can lack."""
    return text_of(few_contents())


def test_every_section_is_there_in_order_and_in_the_contents(page):
    anchors = [attributes["id"] for attributes in page.all("section")]
    expected = (
        "question answer failure cause meaning sure test-sets ladder audit heatmaps confusion roc histograms training "
        "published nets numbers provenance parameters"
    )
    assert anchors == [*expected.split(), "steps"]
    links = [attributes["href"] for attributes in page.all("a")]
    assert links[: len(anchors) + 1] == ["#main", *(f"#{anchor}" for anchor in anchors)]
    folded = [attributes.get("class") for attributes in page.all("details")].count("part")
    assert folded == len(anchors) - 6  # the story is open


def test_the_page_says_that_it_is_not_for_diagnosis_and_that_phantoms_mean_nothing(page):
    assert "Research software, not for diagnosis." in page.text
    assert "which says nothing about COVID-19" in page.text
    real = text_of(few_contents(synthetic=False, dataset="covid-xray-5k"))
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
    section = html[html.index('<section id="sure">') : html.index('<section id="test-sets">')]
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
    assert "Reliability under the recipe “paper's text”" in page.text
    assert "0.100 (0.080 to 0.120) +0.400 0.050 (0.040 to 0.090)" in page.text


def test_an_audit_that_is_added_has_its_blocks_its_sentence_and_its_row_on_the_page(monkeypatch):
    monkeypatch.setitem(AUDITS, "machines", audits.Machines)
    found = audited() | {"machines": Sourced(audits.Machines(auc=0.98), step("machines@phantom"))}
    text = text_of(few_contents(audits=found))
    assert "What the makers tell." in text
    assert "The machine's maker tells 0.98." in text
    assert "maker of the machine acquisition 0.980 (0.960 to 1.000)" in text
    assert "dvc repro machines@phantom" in text


def test_that_no_other_peoples_images_were_tested_is_said(page, least):
    assert "Not tested on other people's images" not in page.text
    assert "Not tested on other people's images" in least
    assert "Not run on this data set: the test on other people's images." in least


def test_near_duplicates_that_were_not_looked_for_are_said_not_to_be():
    found = audited()
    why = NearDuplicates(by="matched points", skipped="there are no copies to choose a threshold on")
    value = audits.LEAKAGE.model_copy(update={"near_duplicates": why})
    found["leakage"] = dataclasses.replace(found["leakage"], value=value)
    assert "not looked for: there are no copies to choose" in text_of(few_contents(audits=found))


def test_heat_maps_are_shown_and_what_was_measured_is_said(html, least):
    section = html[html.index('<section id="heatmaps">') : html.index('<section id="confusion">')]
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in section
    text = Page(section).text
    for sentence in heat_sentences(audits.HEATMAPS):
        assert sentence in text
    assert (
        "the lesions cover 18 % of the image; the occlusion map is hottest there 47 % (42 to 52 %) of the time" in text
    )
    assert "-0.08 (-0.18 to +0.02)" in text
    assert "ResNet18, heat in the lungs: not measured; there is no mask." in text
    assert "dvc repro localisation@phantom-resnet18" in text
    assert "Not run on this data set: the heat maps." in least


def test_on_patients_images_the_page_says_where_the_overlays_are():
    found = {"heatmaps": all_contents().heatmaps, "synthetic": False, "dataset": "covid-xray-5k"}
    nothing = NotLocated(skipped="there is no mask")
    value = audits.HEATMAPS.model_copy(update={"lesions": nothing})
    found["heatmaps"] = {"resnet18": dataclasses.replace(found["heatmaps"]["resnet18"], value=value)}
    whole = without_pictures(few_contents(**found))
    section = whole[whole.index('<section id="heatmaps">') :]
    section = section[: section.index("</section>")]
    assert section.count("<figure") == section.count("<img") == 1  # nothing was measured, so there is nothing to say
    text = Page(whole).text
    assert "stay with DVC, in data/covid-xray-5k/overlays/resnet18" in text
    assert "No image of a patient is on this page." in text


def test_heat_without_a_value_or_an_interval_is_told_without():
    net = audits.HEATMAPS
    methods = {
        name: method.model_copy(update={"heat_inside": None, "auc": method.auc.value})
        for name, method in net.lesions.methods.items()
    }
    own = net.model_copy(update={"lesions": net.lesions.model_copy(update={"methods": methods})})
    _, heat, auc = heat_sentences(own)
    assert "an unknown share of the heat lies there" in heat
    assert "the AUC, is 0.64. For the blob it is 0.72" in auc
    found = {"heatmaps": {"resnet18": Sourced(own, step("localisation@phantom-resnet18"))}}
    assert auc in text_of(few_contents(**found))


def test_maps_of_images_with_and_without_covid_stand_side_by_side(html):
    text = Page(html).text
    assert BESIDE.sentence() in text
    assert "without COVID-19, of cohen" in text
    nothing = BESIDE.model_copy(update={"groups": {}})
    beside = ((Sourced(nothing, step(BESIDE_STEP)), Sourced(PNG, step(BESIDE_STEP))),)
    assert "with and without COVID-19" not in text_of(all_contents(beside=beside))


def test_the_page_for_reviewers_has_everything():
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


# A number with its interval, `0.55 (0.50 to 0.60)`, counts as one word.
NUMBER = re.compile(r"[-+]?[\d.,]+(?: %)?( \([-+]?[\d.,]+ to [-+]?[\d.,]+(?: %)?\))?")


def paragraphs(html):
    """Return what is read on a page: paragraphs and captions, as words between single blanks."""
    found = re.findall(r"<(p|figcaption)(?:\s[^>]*)?>(.*?)</\1>", html, re.DOTALL)
    assert len(found) > 10
    return [" ".join(unescape(re.sub(r"<code.*?</code>|<[^>]+>", " ", part)).split()) for _, part in found]


def too_long(text, words=30):
    """Return the sentences of more than 30 words."""
    sentences = re.split(r"(?<=[.?!:;]) +(?=[A-Z+-])|(?<=[.?!]) +(?=\d)", text)
    return [one for one in sentences if len(NUMBER.sub("1", one).split()) > words]


@pytest.mark.parametrize("page", [without_pictures, render_review])
def test_no_paragraph_has_more_than_sixty_words_and_no_sentence_more_than_thirty(page):
    said = paragraphs(page(all_contents()))
    assert [part for part in said if len(NUMBER.sub("1", part).split()) > 60] == []
    assert [sentence for part in said for sentence in too_long(part)] == []


@pytest.mark.parametrize("dataset", [path.parent.name for path in sorted((ROOT / "results").glob("*/runs.json"))])
def test_of_every_committed_result_sentences_are_short_and_say_no_key(dataset):
    results = Results(ROOT / "results")
    found = read_results(results.folder / dataset)
    ladders = results.result(dataset, "ladder").nets
    said = [*sentences(found), *(text for net in ALL_NETS for text in verdict(found, net))]
    said += [text for net, part in ladders.items() for text in finding(title_of(net), part)]
    said += whole_nets([rung for part in ladders.values() for rung in part.rungs.values()])
    said += claim_sentences(results.result(dataset, "nets"), dataset, papers_images=dataset == "covid-xray-5k")
    for name in results.names(dataset, "heatmaps/*"):
        own = results.result(dataset, name)
        said += [own.sentence()] if isinstance(own, MapsBeside) else [*heat_sentences(own), *sanity_sentences(own)]
    assert len(said) > 20
    assert [sentence for text in said for sentence in too_long(text)] == []
    assert [text for text in said if re.search(KEYS, text)] == []


KEYS = r"\b(failed-reproduction|released-code|released-readme|cut_off|batch_norm|random_crop|best-accuracy)\b"


def test_recipes_and_switches_have_names_that_people_read(html):
    settings = parameters()
    assert settings.recipe.keys() <= TITLES.keys()
    assert set(SWITCHES) == set(Recipe.model_fields)
    assert len(set(TITLES.values())) == len(TITLES)
    assert title_of_recipe("my-recipe") == "my recipe"
    assert title_of_rung("failed-reproduction-replayed, frozen") == "failed reproduction, frozen net"
    assert title_of_rung("optimiser: adam, cut_off: 0.5") == "optimiser: Adam, cut-off: 0.5"
    drawn = re.findall(r"<text[^>]*>(.*?)</text>|aria-label=\"(.*?)\"", html, re.DOTALL)
    assert [said for said in (*paragraphs(html), *map(" ".join, drawn)) if re.search(KEYS, said)] == []


def cause_of(accuracies, settings, recipe="failed-reproduction", smallest=(("schedule",),)):
    """Return why a run fails whose heads have these test accuracies, epoch by epoch; most is right three in four."""
    table = [
        (seed, epoch + 1, value, 0.2 + 0.1 * seed + 0.6 * (epoch > 0))
        for seed, one in enumerate(accuracies)
        for epoch, value in enumerate(one)
    ]
    run = one_run("resnet18", "failed-reproduction")
    alike = run.result.model_copy(update={"collapsed": 1, "majority_accuracy": 0.75})
    over = alike.over_seeds.model_copy(update={"collapsed": alike.over_seeds.collapsed.model_copy(update={"max": 1.0})})
    log = pd.DataFrame(table, columns=["seed", "epoch", "test_accuracy", "test_auc"])
    run = dataclasses.replace(run, log=log, result=alike.model_copy(update={"over_seeds": over}))
    ladder = LADDER.model_copy(update={"smallest": [list(subset) for subset in smallest]})
    return run, settings.recipe[recipe], ladder, 0.9


def test_why_it_fails_is_said_only_where_the_log_and_the_ladder_show_it(monkeypatch):
    settings = parameters()
    monkeypatch.setattr(type(one_run("resnet18", "paper").result), "collapsed_heads", property(lambda own: 2))
    flat = [[0.75] * 30] * 2
    rate, selection, ranked, argmax, alone = cause(*cause_of(flat, settings))
    assert rate.startswith("The learning rate dies early: from epoch 21 on, a thousandth")
    assert ranked == "The mean AUC of the heads is 0.250 then, and 0.850 after the last epoch."
    assert selection.startswith("Selection by accuracy keeps the first epoch, because calling every image non-COVID")
    assert "75.00 % of the time" in selection
    assert argmax.startswith("For that accuracy an image counts as COVID from a score of 0.5 on; in the end")
    assert argmax.endswith("called COVID from 0.2 on.")
    assert "not enough by itself" in alone
    said = " ".join(cause(*cause_of(flat, settings, smallest=[("augmented",)])))
    assert "learning rate" not in said  # no repair changes the schedule
    both = list(cause(*cause_of(flat, settings, smallest=[("schedule",), ("augmented",)])))
    assert both[1] == "Another repair leaves it as it is: augmented copies switched on."
    assert "not enough by itself" not in " ".join(cause(*cause_of(flat, settings, smallest=[("selection",)])))
    assert "dies" not in " ".join(cause(*cause_of([[0.75] * 9] * 2, settings)))  # it ended before
    assert list(cause(*cause_of(flat, settings, "paper"))) == []
    later = [[0.7, *[0.75] * 29]] * 2
    assert "keeps epoch 2, because" in " ".join(cause(*cause_of(later, settings)))
    (left,) = cause(*cause_of([[0.75] * 30, [0.75, 0.8]], settings))
    assert left.startswith("In 1 of 2 heads the test accuracy rises above 75.00 %")
    monkeypatch.setattr(type(one_run("resnet18", "paper").result), "collapsed_heads", property(lambda own: 0))
    assert list(cause(*cause_of(flat, settings))) == []


def test_heads_that_know_no_more_than_the_prior_are_said_to_rank_by_the_strength_of_features(monkeypatch):
    monkeypatch.setattr(type(one_run("resnet18", "paper").result), "collapsed_heads", property(lambda own: 2))
    run, *others, _ = cause_of([[0.75] * 30] * 2, parameters())
    share = float(run.heads.mean().mean())
    assert "rank COVID-19 below the rest" not in " ".join(cause(run, *others, share))
    spread = run.result.over_seeds.auc.model_copy(update={"min": 0.3, "max": 0.4})
    over = run.result.over_seeds.model_copy(update={"auc": spread})
    run = dataclasses.replace(run, result=run.result.model_copy(update={"over_seeds": over}))
    *_, ranked, why = cause(run, *others, share)
    assert ranked.startswith(
        "All 2 heads rank COVID-19 below the rest: the AUC is 0.300 to 0.400. Their mean score is "
    )
    assert ranked.endswith(f"training, {share:.3f}.")
    assert "the stronger its features are" in why
    assert "rank COVID-19 below" not in " ".join(cause(run, *others, share / 3))


def test_a_head_that_finds_some_images_and_too_few_is_said_not_to_detect():
    result, wanted = one_run("resnet18", "paper").result, Detection(sensitivity=0.5, specificity=0.5)
    some = result.model_copy(
        update={
            "collapsed": 0,
            "sensitivity": result.sensitivity.model_copy(update={"value": 0.24}),
            "confusion": Confusion(tp=24, fn=76, fp=678, tn=2322),
        }
    )
    said = list(below_the_bar([("failed reproduction, frozen net", some), ("paper's text", some)], wanted))
    assert said[0].endswith("finds 24 of 100 COVID-19 images and clears 2,322 of 3,000 others.")
    assert said[1].startswith("The median head under “paper's text” finds 24 of 100")
    assert said[2:] == ["That is not called detecting here: a head must find 50 % and clear 50 %, at least."]
    assert all(len(sentence.split()) <= 30 for sentence in said)
    enough = some.model_copy(update={"sensitivity": result.sensitivity.model_copy(update={"value": 0.5})})
    assert list(below_the_bar([("x", enough)], wanted)) == []
    assert list(below_the_bar([("x", some.model_copy(update={"collapsed": 1}))], wanted)) == []


@pytest.mark.parametrize("random_weights", [True, False])
def test_the_page_says_where_nets_have_random_weights(random_weights):
    net = Results(ROOT / "results").result("phantom", "heatmaps/resnet18")
    heatmaps = {"resnet18": Sourced(net, step("localisation@phantom-resnet18"))}
    text = text_of(few_contents(random_weights=random_weights, heatmaps=heatmaps))
    for said in ("nets have random weights in the place of ImageNet's", "have random weights to begin with"):
        assert (said in text) == random_weights


def test_the_figure_of_the_detector_without_covid_says_why_its_auc_differs():
    text = [block.caption for block in sections.meaning(all_contents()).blocks if "detector" in block.caption]
    (run,) = [run for run in all_contents().of("paper") if run.model == "resnet18"]
    assert text
    assert all("Here the heads learn the original images alone." in caption for caption in text)
    assert all(f"ResNet18 reaches {run.result.auc.value:.3f}." in caption for caption in text)


def test_the_answer_is_one_sentence_of_what_was_measured():
    run, found = one_run("resnet18", "paper").result, audits.external().nets["resnet18"]["paper"]
    text = in_one_sentence(run, run, LADDER, [("cohen", found)])
    assert len(text.split()) <= 30
    assert text.startswith("The failure returns in none of 2 heads, and ")  # so that nothing is to be repaired
    failed = failing(run)
    told = in_one_sentence(failed, run, LADDER, [("cohen", found)])
    assert told.startswith("The failure returns in 2 of 2 heads, changing the augmented copies repairs it, and ")
    either = LADDER.model_copy(update={"smallest": [["augmented"], ["schedule", "sampling"], ["cut_off"]]})
    repair = "changing the augmented copies (or the learning-rate schedule and sampling) repairs it"
    assert f", {repair}, and " in in_one_sentence(failed, run, either, [("cohen", found)])
    more = LADDER.model_copy(update={"smallest": [["schedule", "optimiser", "sampling"]]})
    many = in_one_sentence(failed, run, more, [("cohen", found)])
    assert ", changing the learning-rate schedule, optimiser and sampling repairs it, and " in many
    assert len(told.split()) < len(many.split()) <= 30
    assert text.endswith(f"{run.auc.value:.3f}, but {found.run.auc.value:.3f} on cohen.")
    assert in_one_sentence(None, run, LADDER, []) == f"The paper's recipe reaches an AUC of {run.auc.value:.3f}."
    assert in_one_sentence(None, None, LADDER, []) == ""


def test_the_caption_of_the_answer_speaks_of_a_repair_only_where_the_sentence_names_one():
    one = one_run("resnet18", "failed-reproduction")
    for run, expected in ((one, False), (dataclasses.replace(one, result=failing(one.result)), True)):
        (block,) = (part for part in sections.answer(few_contents(runs=(run,))).blocks if part.sentences)
        assert (" repairs it" in block.sentences[0]) == ("repairs it was tried" in block.caption) == expected


def test_a_test_set_has_its_card_matrix_curve_and_histogram(html, page):
    text = " ".join(Page(html[html.index('<section id="answer">') : html.index('<section id="failure">')]).words)
    assert "paper's text, tested on elsewhere" in " ".join(text.split())
    section = html[html.index('<section id="test-sets">') : html.index('<section id="ladder">')]
    for name in ("confusion-elsewhere", "roc-elsewhere", "histogram-elsewhere"):
        assert f'id="{name}-' in section


def test_the_page_can_be_used_from_the_keyboard_and_by_ear(html, page):
    ((_, language, _),) = [one for one in page.elements if one[0] == "html"]
    assert language["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.all(landmark)) == 1
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    first = next(attributes for tag, attributes, _ in page.elements if tag == "a")
    assert first["href"] == "#main"
    tables = [inside for tag, _, inside in page.elements if tag == "table"]
    assert tables
    assert all(box.get("tabindex") == "0" and box["aria-label"] for box in page.all("div") if box.get("role"))
    assert all(cell["scope"] in ("col", "row", "rowgroup") for cell in page.all("th"))
    assert all(picture["alt"] for picture in page.all("img"))


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_has_contrast_in_both_modes(scheme):
    style = (ROOT / "deepcovid/report/templates/style.css").read_text()
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]))
    for text, ground in [
        *((text, ground) for text in ("ink", "soft", "accent") for ground in ("paper", "panel")),
        ("warn", "warn-paper"),
        ("ink", "warn-paper"),
    ]:
        light, dark = sorted((luminance(colours[name]) for name in (text, ground)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def luminance(colour):
    """Return the relative luminance of a colour, as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


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
    assert (
        "In 1 of 2 comparisons the published number, before it was rounded, may lie inside our 95 % interval."
        in page.text
    )
    assert "a" * 64 in page.text


def test_the_table_of_all_runs_says_which_intervals_it_shows(html):
    section = Page(html[html.index('<section id="numbers">') : html.index('<section id="provenance">')]).text
    assert "Intervals are 95 %, a bootstrap over patients." in section
    assert "For a rate of 0 or 1 the interval is Wilson's, and for an AUC of 0.99 or more Newcombe's" in section
    for made in all_contents().runs:
        for own in (made.result.sensitivity, made.result.specificity):
            assert f"{own.value:.3f} ({own.patients.low:.3f} to {own.patients.high:.3f})" in section


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
    text = without_pictures(few_contents(findings={"resnet18": ("<script>alert(1)</script> & more",)}))
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text


def test_a_step_that_made_several_results_of_a_block_is_told_once():
    made = all_contents()
    audits_too = {name: Sourced(part.value, made.runs[0].evaluated) for name, part in made.audits.items()}
    html = render(dataclasses.replace(made, audits=audits_too))
    told = [part.split("Where the data set is not")[0] for part in html.split('<details class="how">')[1:]]
    assert told
    for part in told:
        names = re.findall(r'href="#(step-[^"]+)"', part)
        assert len(names) == len(set(names))


def test_the_ladder_names_the_nets_that_did_not_climb_it():
    said = "Not climbed with SqueezeNet: "
    assert said not in text_of(all_contents())
    assert said in text_of(dataclasses.replace(all_contents(), ladder=climbed(["resnet18"])))


def test_nets_that_no_other_split_is_trained_for_are_named():
    said, made = "Not divided anew for SqueezeNet: ", all_contents()
    assert said not in text_of(made)
    assert said in text_of(without_other_splits(made, "squeezenet"))


def without_other_splits(made, net):
    """Contents in which runs of the net, whose name begins like this, have no other splits."""
    runs = dict(made.uncertainty.value.runs)
    for name in (name for name in runs if name.startswith(net)):
        runs[name] = RunSources(**{key: own.model_copy(update={"splits": None}) for key, own in runs[name]})
    return dataclasses.replace(made, uncertainty=Sourced(Uncertainty(runs=runs), made.uncertainty.step))


def test_a_page_says_that_no_other_split_was_tried():
    text = text_of(without_other_splits(all_contents(), ""))
    assert "The images could have been divided differently: this was not tried." in text
    assert "Not divided anew for" not in text


def test_a_net_alone_without_replay_or_comparison_has_a_page_that_says_so():
    runs = (one_run("densenet121", "paper"),)
    text = text_of(few_contents(runs=runs, findings={"densenet121": ("It always detects.",)}))
    assert "Not run on this data set: the released script replayed on the whole net." in text
    assert "Not run on this data set: the paired comparison of nets." in text
    assert "No published number is of this data set." in text
    assert "DenseNet-121 at a glance" in text


@pytest.mark.parametrize(
    ("heads", "epochs", "over", "capped"),
    [
        (10, 150, "over initial weights only: all heads share one order of the images and the same crops.", False),
        (20, 150, "over 2 runs: each has its own order of the images and its own crops. The heads of a run", False),
        (10, 21, "over initial weights only: ", True),
        (30, 21, "over 3 runs: ", True),
    ],
)
def test_of_whole_nets_the_ladder_says_what_their_interval_is_over_and_that_they_had_fewer_epochs(
    heads, epochs, over, capped
):
    frozen = rung("up", 0, "failed-reproduction").model_copy(update={"heads": 10, "seeds": 10, "epochs": 150})
    whole = frozen.model_copy(update={"net": "replayed", "heads": heads, "epochs": epochs})
    drawn, interval = whole_nets([whole, frozen])
    assert "a hollow one of heads on the whole net" in drawn
    assert ("On the whole net at most 21 epochs were run, on a frozen one up to 150." in drawn) == capped
    assert ("epochs" in drawn) == capped
    assert interval.startswith(f"On the whole net the interval is {over}")
    assert ("initial weights only" in interval) == (heads == 10)
    assert list(whole_nets([frozen])) == []


def test_the_ladder_says_nothing_of_whole_nets_where_none_was_run(page):
    said = list(whole_nets(list(LADDER.rungs.values())))
    assert len(said) == 2
    assert all(text in page.text for text in said)
    frozen = {name: own for name, own in LADDER.rungs.items() if own.net == "frozen"}
    ladders = Ladders(nets={"resnet18": LADDER.model_copy(update={"rungs": frozen})})
    text = text_of(few_contents(ladder=Sourced(ladders, step("ladder@phantom"))))
    assert "On a frozen net the interval is over seeds: each has other initial weights" in text
    assert "On the whole net" not in text
    assert "hollow" not in text


def test_one_recipe_of_another_name_has_a_page():
    only = dataclasses.replace(one_run("resnet18", "paper"), recipe="my-recipe")
    text = text_of(few_contents(runs=(only,)))
    assert "Not run on this data set: the recipe “paper's text”." in text
    assert "Not run on this data set: the recipe “failed reproduction, frozen net” with ResNet18." in text
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
        "external/phantom-external/review": REVIEW,
        "runs": Runs(runs={name: one.result for name, one in shown.items()}),
    }
    for name, result in found.items():
        outputs[f"results/phantom/{name}.json"] = result.model_dump_json(exclude_none=True)
    for one in shown.values():
        place = f"frozen/{one.model}/{one.recipe}.csv"
        outputs[f"data/phantom/scores/{place}"] = one.scores.to_csv(index=False)
        outputs[f"data/phantom/training/{place}"] = one.log.to_csv(index=False)
    (elsewhere,) = made.tested["elsewhere"]
    outputs["results/phantom/external/phantom-external/resnet18.csv"] = elsewhere.scores.to_csv(index=False)
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


@pytest.mark.pipeline
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


def test_of_a_folder_of_all_data_sets_the_page_names_the_steps_of_its_own(results):
    yaml, path = YAML(typ="safe"), results / "dvc.lock"
    lock = yaml.load(path)
    lock["stages"]["train@phantom"]["deps"].append({"path": "results/replayed", "hash": "md5", "md5": "0", "size": 1})
    for name in ("phantom", "other"):
        out = {"path": f"results/replayed/{name}/resnet18-log.csv", "hash": "md5", "md5": "1", "size": 1}
        lock["stages"][f"replay@{name}"] = {"cmd": "replay", "deps": [], "outs": [out]}
    yaml.dump(lock, path)
    with chdir(results):
        report(parameters(), "phantom")
    text = (results / "data/phantom/report.html").read_text()
    assert slug("replay@phantom") in text
    assert slug("replay@other") not in text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "dvc.lock").unlink(), "dvc.lock: "),
        (lambda folder: (folder / "dvc.lock").write_text("stages:\n"), "dvc.lock: "),
        (lambda folder: (folder / "dvc.lock").write_text("a: [\n"), "dvc.lock: "),
        (
            lambda folder: (folder / "results/phantom/runs.json").write_text("{}"),
            "results/phantom/runs.json: differs from what dvc.lock records",
        ),
        (
            lambda folder: (folder / "results/phantom/leakage.json").write_text('{"leaks": {'),
            "results/phantom/leakage.json: differs from what dvc.lock records",
        ),
        (
            lambda folder: (folder / "dvc.lock").write_text(
                (folder / "dvc.lock").read_text().replace("phantom/ladder.json", "phantom/other.json")
            ),
            "results/phantom/ladder.json: is not the output of a stage",
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


@pytest.mark.pipeline
def test_in_a_browser_the_page_shows_its_pictures_and_tables_and_asks_nobody_for_anything(tmp_path, html):
    count = """<script>addEventListener("load", () => {
        for (const details of document.querySelectorAll("details")) details.open = true;
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
