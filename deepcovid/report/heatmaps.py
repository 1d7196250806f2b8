"""The section on where in the image the scores come from."""

from collections.abc import Iterator

from deepcovid.drawing.blocks import NOT_RUN, Block, Section, pictured
from deepcovid.drawing.tables import spread
from deepcovid.heatmaps.localisation import CENTRE, GRAD_CAM, OCCLUSION, Located, Measure, NetHeat, NotLocated
from deepcovid.nets.zoo import title_of
from deepcovid.report import tables
from deepcovid.report.contents import Contents

TITLE = "Where does the score come from?"
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
        f"A grey window of {window.window} x {window.window} pixels slides over the image with a stride of "
        f"{window.stride}; where the score for COVID-19 drops, it came from (paper, section 4.7). Grad-CAM, from the "
        "gradients of the last convolutional stage, stands beside it.",
        "A map says what a net used, not that it is a sign of disease.",
    )
    blocks, notes = list(_pictures(contents)), []
    steps = tuple(part.step for part in contents.heatmaps.values())
    said = tuple(sentence for part in contents.heatmaps.values() for sentence in sentences(part.value))
    if said:
        blocks.append(Block("Computed from the table below.", steps, sentences=said))
    for net in contents.heatmaps.values():
        title = title_of(net.value.model)
        for words, part in _places(net.value):
            if isinstance(part, Located):
                caption = f"{title}: does the heat lie in {words}? {MEASURED}"
                blocks.append(Block(caption, (net.step,), table=tables.located(part)))
            else:
                notes.append(f"{title}, heat in {words}: not measured; {part.skipped}.")
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


def sentences(net: NetHeat) -> Iterator[str]:
    """Yield what the measurements of one net's maps say, a sentence for each place."""
    for words, part in _places(net):
        if isinstance(part, NotLocated):
            continue
        own, centre, grad_cam = (part.methods[name] for name in (OCCLUSION, CENTRE, GRAD_CAM))
        yield (
            f"In {part.images} COVID images that {title_of(net.model)} detects, the hottest place of the "
            f"occlusion map lies in {words} ({100 * part.mask_share:.0f} % of the image) {_percent(own.pointing_game)} "
            f"of the time; {_percent(own.heat_inside)} of the heat lies inside, of a blob in the centre "
            f"{_percent(centre.heat_inside)}; the AUC of the map is {_area(own.auc)}, of the blob "
            f"{_area(centre.auc)}, of Grad-CAM {_area(grad_cam.auc)}."
        )


def _places(net: NetHeat) -> tuple[tuple[str, Located | NotLocated], ...]:
    """Return each place where the heat may lie, in words, and what was measured there."""
    return ("the lesion", net.lesions), ("the lungs", net.lungs)


def _percent(measure: Measure | None) -> str:
    if measure is None:
        return "an unknown share"
    if isinstance(measure, float):
        return f"{100 * measure:.0f} %"
    return f"{100 * measure.value:.0f} % ({100 * measure.low:.0f} to {100 * measure.high:.0f} %)"


def _area(measure: Measure) -> str:
    return f"{measure:.2f}" if isinstance(measure, float) else spread(measure, 2)
