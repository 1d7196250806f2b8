"""The section on where in the image the scores come from."""

from collections.abc import Iterator, Mapping
from typing import Any

from deepcovid.drawing.blocks import NOT_RUN, Block, Section, pictured
from deepcovid.nets.zoo import title_of
from deepcovid.report import tables
from deepcovid.report.contents import Contents

TITLE = "Where does the score come from?"
PLACES = {"lesions": "the lesion", "lungs": "the lungs"}
MEASURED = (
    "The pointing game asks whether a map's hottest pixel lies inside (ties count by their share); the share of the "
    "heat is that of what raises the score; the AUC is the chance that a pixel inside is hotter than one outside. In "
    "brackets are 95 % intervals, a bootstrap over patients. The centre is a blob in the middle of every image, random "
    "is noise; neither knows the image."
)


def heatmaps(contents: Contents) -> Section:
    """The maps as pictures, and whether the heat lies where the lesions, or the lungs, are."""
    if not contents.heatmaps:
        return Section("heatmaps", TITLE, notes=(NOT_RUN.format("heat maps"),))
    window = next(iter(contents.heatmaps.values())).value
    text = (
        f"A grey window of {window['window']} x {window['window']} pixels slides over the image with a stride of "
        f"{window['stride']}; where the score for COVID-19 drops, it came from (paper, section 4.7). Grad-CAM, from "
        "the gradients of the last convolutional stage, stands beside it.",
        "A map says what a net used, not that it is a sign of disease.",
    )
    blocks, notes = list(_pictures(contents)), []
    steps = tuple(part.step for part in contents.heatmaps.values())
    said = tuple(sentence for part in contents.heatmaps.values() for sentence in sentences(part.value))
    if said:
        blocks.append(Block("Computed from the table below.", steps, sentences=said))
    for part in contents.heatmaps.values():
        net = part.value
        for place, words in PLACES.items():
            if "methods" in net[place]:
                caption = f"{title_of(net['model'])}: does the heat lie in {words}? {MEASURED}"
                blocks.append(Block(caption, (part.step,), table=tables.located(net[place])))
            else:
                notes.append(f"{title_of(net['model'])}, heat in {words}: not measured; {net[place]['skipped']}.")
    return Section("heatmaps", TITLE, text, tuple(blocks), tuple(notes))


def _pictures(contents: Contents) -> Iterator[Block]:
    for model, picture in contents.heatmap_pictures.items():
        net = title_of(model)
        if contents.synthetic:
            caption = f"{net}: images, and the maps over them. Outlined is what was drawn into the image as disease."
        else:
            caption = (
                f"{net}: the mean map over the COVID images that the head detects. Maps over the images themselves "
                f"show patients and stay with DVC, in data/{contents.dataset}/overlays/{model}."
            )
        yield pictured(picture.value, f"Heat maps of {net}.", caption, (picture.step,))


def sentences(net: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the measurements of one net's maps say, a sentence for each place."""
    for place, words in PLACES.items():
        if "methods" not in net[place]:
            continue
        part, methods = net[place], net[place]["methods"]
        own, centre, chance = methods["occlusion"], methods["centre"], 100 * part["mask_share"]
        yield (
            f"In {part['images']} COVID images that {title_of(net['model'])} detects, the hottest place of the "
            f"occlusion map lies in {words} ({chance:.0f} % of the image) {_percent(own, 'pointing_game')} of the "
            f"time; {_percent(own, 'heat_inside')} of the heat lies inside, of a blob in the centre "
            f"{_percent(centre, 'heat_inside')}; the AUC of the map is {_area(own)}, of the blob "
            f"{_area(centre)}, of Grad-CAM {_area(methods['grad_cam'])}."
        )


def _percent(method: Mapping[str, Any], measure: str) -> str:
    own = method[measure]
    if "mean" not in own:
        return "an unknown share"
    interval = f" ({100 * own['low']:.0f} to {100 * own['high']:.0f} %)" if "low" in own else ""
    return f"{100 * own['mean']:.0f} %{interval}"


def _area(method: Mapping[str, Any]) -> str:
    own = method["auc"]
    return f"{own['mean']:.2f}" + (f" ({own['low']:.2f} to {own['high']:.2f})" if "low" in own else "")
