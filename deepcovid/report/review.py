"""The sections of the page of what a reviewer asks for."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from deepcovid.drawing.blocks import Block, Section, drawn
from deepcovid.drawing.marks import NET_COLOURS
from deepcovid.drawing.svg import FAINT, INK, PAGE, WIDTH, styled
from deepcovid.drawing.tables import Table, share, spread
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.nets.zoo import title_of
from deepcovid.report.checklists import tallies
from deepcovid.report.contents import Contents
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.review import PREVALENCES, Benefit, Review, Who

KNOWN = 4  # findings that table one names; the others are counted


def sections(contents: Contents) -> list[Section]:
    """Return the page's sections in order."""
    return [part(contents) for part in (flow, table_one, subgroups, predictive, benefit, calibrated, checklists)]


def flow(contents: Contents) -> Section:
    """From the listed images to those that were trained and tested on."""
    kept = {name: part.value for name, part in contents.counted.items()}
    boxes = boxes_of(kept)
    alt = "Flow of images. " + "; ".join(f"{name}: {text}" for name, text in boxes.items()).replace("\n", ", ")
    caption = (
        "From the images that the source lists to those that heads are trained and tested on. To the right is what "
        "fell away, and why."
    )
    steps = tuple(part.step for part in contents.counted.values())
    return Section("flow", "Which images went in?", blocks=(drawn(_flow(boxes), "flow", alt, caption, steps),))


def boxes_of(counted: Mapping[str, Any]) -> dict[str, str]:
    """Return the boxes of the flow diagram: their text, by name.

    Args:
        counted: What results/<data set>/{filter,split,images}.json hold, by these names.
    """
    kept, dropped, split = counted["filter"]["kept"], counted["filter"]["dropped"], counted["split"]

    def of(part: Mapping[str, Any]) -> str:
        return f"{part['covid']['images']:,} COVID-19, {part['non']['images']:,} others"

    listed = {label: {"images": kept[label]["images"] + dropped[label]["images"]} for label in ("covid", "non")}
    why = [f"{number:,} for their {name}" for name, number in dropped["reason"].items() if number]
    left = [split[label]["left_out"] for label in ("covid", "non")]
    return {
        "listed": f"listed\n{of(listed)}",
        "filtered": f"dropped by the filter\n{of(dropped)}" + "".join(f"\n{text}" for text in why),
        "kept": f"kept\n{of(kept)}",
        "left": f"left out by the split\n{left[0]:,} COVID-19, {left[1]:,} others",
        "train": f"train\n{split['covid']['train']:,} COVID-19, {split['non']['train']:,} others"
        + (f"\nand {counted['images']['copies']:,} augmented copies" if counted["images"]["copies"] else ""),
        "test": f"test\n{split['covid']['test']:,} COVID-19, {split['non']['test']:,} others",
        "unreadable": f"could not be read\n{counted['images']['quarantined']:,}",
    }


PLACES = {  # across and down, in shares of the figure: of the boxes' middles, or of the left side of what fell away
    "listed": (0.3, 0.9),
    "filtered": (0.64, 0.75),
    "kept": (0.3, 0.6),
    "left": (0.64, 0.45),
    "unreadable": (0.64, 0.3),
    "train": (0.15, 0.1),
    "test": (0.45, 0.1),
}
FELL_AWAY = ("filtered", "left", "unreadable")
ARROWS = (("listed", "kept"), ("kept", "train"), ("kept", "test"))


@styled
def _flow(boxes: Mapping[str, str]) -> Figure:
    drawing = Figure(figsize=(WIDTH, 4.2))
    axis = drawing.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.axis("off")
    for name, text in boxes.items():
        aside = name in FELL_AWAY
        box = {"boxstyle": "round,pad=0.6", "facecolor": PAGE, "edgecolor": FAINT if aside else INK}
        where = "left" if aside else "center"
        axis.text(*PLACES[name], text, ha=where, va="center", linespacing=1.5, bbox=box, zorder=3)
    arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1, "shrinkA": 26, "shrinkB": 30}
    for start, end in ARROWS:
        axis.annotate("", PLACES[end], PLACES[start], arrowprops=arrow)
    for name in FELL_AWAY:
        across, down = PLACES[name]
        axis.annotate(
            "", (across - 0.02, down), (0.3, down), arrowprops=arrow | {"shrinkA": 0, "shrinkB": 0, "color": FAINT}
        )
    return drawing


def table_one(contents: Contents) -> Section:
    """Who the images are of."""
    people = {
        f"{images}: {part}" if images == contents.dataset else part: own
        for images, review in contents.reviews.items()
        for part, own in review.value.who.items()
    }
    caption = (
        "Table one. Counts are of images; augmented copies are not counted. Ages are the median with the quartiles, of "
        f"the images whose age is known. Of the findings the {KNOWN} most frequent are named."
    )
    rows = [
        (
            name,
            f"{own.images:,} of {own.patients:,}",
            _age(own),
            *(_most(part) for part in (own.sex, own.view, own.finding)),
        )
        for name, own in people.items()
    ]
    table = Table(("images", "images of patients", "age, years", "sex", "view", "finding"), rows, names=6)
    return Section("who", "Who are the images of?", blocks=(Block(caption, _steps(contents), table=table),))


def _age(own: Who) -> str:
    if not own.age.quartiles:
        return "not known"
    low, middle, high = own.age.quartiles
    missing = own.images - own.age.known
    return f"{middle:g} ({low:g} to {high:g})" + (f"; {missing:,} not known" if missing else "")


def _most(counts: Mapping[str, int]) -> str:
    named = list(counts.items())
    said = [f"{name} {number:,}" for name, number in named[:KNOWN]]
    rest = sum(number for _, number in named[KNOWN:])
    return ", ".join(said) + (f", {len(named) - KNOWN} others {rest:,}" if rest else "")


def subgroups(contents: Contents) -> Section:
    """What the heads reach in parts of the images."""
    text = (
        "A part of the images says how the score does there, not why. Many parts are small, and many are looked at: "
        "some differ by chance alone. Nothing is claimed here.",
        "In brackets are 95 % intervals, a bootstrap over patients; there is none for fewer than "
        f"{FEWEST_PATIENTS} patients.",
    )
    blocks = []
    for images, review in contents.reviews.items():
        for model, own in review.value.nets.items():
            rows = [
                (
                    name,
                    _counted(part.covid, part.covid_patients),
                    _counted(part.others, part.others_patients),
                    spread(part.auc) if part.auc else "",
                    _rate(part.sensitivity),
                    _rate(part.specificity),
                )
                for name, part in own.subgroups.items()
            ]
            header = ("part", "COVID-19 (patients)", "others (patients)", "AUC", "sensitivity", "specificity")
            recipe = title_of_recipe(review.value.recipe)
            caption = f"{title_of(model)} under the recipe “{recipe}” on the test images of {images}."
            blocks.append(Block(caption, (review.step,), folded=Table(header, rows), folded_title="Show the parts"))
    return Section("subgroups", "Does it do as well for everybody?", text, tuple(blocks))


def _counted(images: int, patients: int) -> str:
    return f"{images:,} ({patients:,})" if images else "none"


def _rate(rate: Estimate | float | None) -> str:
    if rate is None:
        return ""
    return spread(rate) if isinstance(rate, Estimate) else f"{rate:.3f}"


def predictive(contents: Contents) -> Section:
    """What a call is worth where the disease is rarer, or more frequent."""
    text = (
        "Sensitivity and specificity are of two groups apart. What a call is worth depends on how frequent the disease "
        "is among those who are X-rayed. Here it is computed for some prevalences by Bayes' theorem, as if the scores "
        "were of the disease.",
    )
    caption = (
        "Predictive values at the recipe's cut-off: of those who are called COVID-19, the share that has it; of those "
        "who are not, the share that has it not. In brackets are 95 % intervals, a bootstrap over patients."
    )
    block = Block(caption, _steps(contents), table=of_predictive_values(_values_of(contents)))
    return Section("predictive", "What is a call worth?", text, (block,))


def of_predictive_values(reviews: Mapping[str, Review]) -> Table:
    """Return a row per net and images (the key of `reviews`): positive and negative predictive values."""
    rows = [
        (
            images,
            title_of(model),
            f"{side} predictive value",
            *(_value(getattr(own.predictive[f"{prevalence:g}"], side)) for prevalence in PREVALENCES),
        )
        for images, review in reviews.items()
        for model, own in review.nets.items()
        for side in ("positive", "negative")
    ]
    header = ("images", "net", "what", *(f"prevalence {100 * prevalence:g} %" for prevalence in PREVALENCES))
    return Table(header, rows, names=3)


def _value(value: Estimate | None) -> str:
    return spread(value, 2) if value else "nobody is called so"


def benefit(contents: Contents) -> Section:
    """Would acting on the score do more good than acting on all, or on none?"""
    text = (
        "Who acts on a call helps those who have the disease and burdens those who have not. The net benefit weighs "
        "the two by the probability from which on one would act (Vickers and Elkin 2006). A score is of use where it "
        "lies above both treating everybody and treating nobody.",
    )
    blocks = []
    for images, review in contents.reviews.items():
        nets = {model: own.benefit for model, own in review.value.nets.items()}
        caption = (
            f"Net benefit on the test images of {images}, at their own prevalence; scores had their prior reset to it. "
            "Bars are 95 % intervals, a bootstrap over patients. Dashed: acting on everybody; the zero line: on nobody."
        )
        rows = [(title_of(model), *(spread(one.head) for one in own.values())) for model, own in nets.items()]
        everybody = next(iter(nets.values()))
        rows.append(("everybody", *(f"{one.everybody:.3f}" for one in everybody.values())))
        table = Table(("net", *(f"from {t}" for t in everybody)), rows)
        alt = "Net benefit. " + "; ".join(
            f"{title_of(model)} from {t}: {one.head.value:.3f}" for model, own in nets.items() for t, one in own.items()
        )
        blocks.append(drawn(_benefit(nets), f"benefit-{images}", alt, caption, (review.step,), table))
    return Section("benefit", "Would acting on it help?", text, tuple(blocks))


@styled
def _benefit(nets: Mapping[str, Mapping[str, Benefit]]) -> Figure:
    drawing = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axis = drawing.subplots()
    thresholds = list(next(iter(nets.values())))
    for number, (model, own) in enumerate(nets.items()):
        places = [place + (number - (len(nets) - 1) / 2) * 0.12 for place in range(len(thresholds))]
        for place, one in zip(places, own.values(), strict=True):
            axis.plot([place, place], [one.head.low, one.head.high], color=NET_COLOURS[model], alpha=0.5, linewidth=2)
        values = [one.head.value for one in own.values()]
        axis.plot(places, values, "o-", color=NET_COLOURS[model], markersize=4, linewidth=0.8, label=title_of(model))
    everybody = [one.everybody for one in next(iter(nets.values())).values()]
    axis.plot(range(len(thresholds)), everybody, color=INK, linestyle=(0, (3, 2)), linewidth=0.9, label="everybody")
    axis.axhline(0, color=INK, linewidth=0.9)
    lowest = min(one.head.low for own in nets.values() for one in own.values())
    highest = max(max(one.head.high, one.everybody) for own in nets.values() for one in own.values())
    reach = max(highest, 0.01)
    axis.set(ylim=(max(min(lowest, 0), -reach) - 0.1 * reach, 1.1 * reach), ylabel="net benefit per person")
    axis.set_xticks(range(len(thresholds)), thresholds)
    axis.set_xlabel("probability from which on one would act")
    drawing.legend(loc="outside right upper", fontsize=7.5)
    return drawing


def calibrated(contents: Contents) -> Section:
    """Are the scores probabilities, once the prior is that of the images?"""
    text = (
        "A head has learned how frequent COVID-19 is among its training images. The prior is reset to that of the "
        "images at hand before anything is asked (Saerens et al. 2002).",
        "The intercept is what is then still to be added to all log-odds; the slope is what they are to be multiplied "
        "with (Cox 1958). At 0 and 1 the scores are probabilities.",
    )
    caption = "Calibration after the prior was reset; 95 % intervals allow for several images of one patient."
    block = Block(caption, _steps(contents), table=of_calibration(_values_of(contents)))
    return Section("calibration", "Are the scores probabilities?", text, (block,))


def of_calibration(reviews: Mapping[str, Review]) -> Table:
    """Return a row per net and images (the key of `reviews`): intercept and slope after the prior was reset."""
    rows = [
        (
            images,
            title_of(model),
            share(own.recalibration.trained),
            share(own.recalibration.tested),
            *(
                spread(part, 2) if part else "not measured"
                for part in (own.recalibration.intercept, own.recalibration.slope)
            ),
        )
        for images, review in reviews.items()
        for model, own in review.nets.items()
    ]
    return Table(("images", "net", "COVID-19 in training", "COVID-19 here", "intercept", "slope"), rows, names=2)


def checklists(contents: Contents) -> Section:
    """What reporting checklists ask for, and who reports it."""
    blocks, counts = [], tallies(contents.checklists)
    for name, own in contents.checklists.checklists.items():
        counted = " and ".join(
            f"{who} reports {answers['yes']}, and {answers['in part']} in part"
            for who, answers in (("the paper", counts[name].paper), ("this project", counts[name].here))
        )
        caption = f"{own.name}: of {counts[name].items} items {counted}."
        reading = (*([own.note] if own.note else []), f"{own.source.citation}, doi:{own.source.doi}.")
        rows = [(item.number, item.item, item.paper, item.here, item.place or "") for item in own.items]
        table = Table(("item", "asks for", "the paper", "here", "place"), rows, names=5, breakable=True)
        blocks.append(Block(caption, (), folded=table, folded_title="Show the items", reading=reading))
    text = (
        "What the paper reports is judged from notes on it, where these say; unknown means that they do not say. The "
        "wording of the items is ours.",
    )
    return Section("checklists", "What do reporting checklists ask for?", text, tuple(blocks))


def _values_of(contents: Contents) -> dict[str, Review]:
    return {images: review.value for images, review in contents.reviews.items()}


def _steps(contents: Contents) -> tuple[Any, ...]:
    return tuple(review.step for review in contents.reviews.values())
