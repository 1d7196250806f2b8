"""The section on where in the image the scores come from."""

from collections.abc import Iterator

from deepcovid.drawing.blocks import NOT_RUN, Block, Section, pictured
from deepcovid.drawing.steps import Sourced
from deepcovid.drawing.tables import share
from deepcovid.heatmaps.beside import MIDDLE, MapsBeside
from deepcovid.heatmaps.localisation import Located
from deepcovid.nets.zoo import title_of
from deepcovid.report import tables
from deepcovid.report.contents import Contents
from deepcovid.report.sentences import heat_sentences, places_of, sanity_sentences
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS

TITLE = "Where does the score come from?"
INTERVALS = "In brackets are 95 % intervals, a bootstrap over patients."
NO_INTERVAL = f"There is no interval for fewer than {FEWEST_PATIENTS} patients."
MEASURED = (
    "The pointing game asks whether a map's hottest pixel lies inside; ties count by their share. The share of the "
    "heat is that of what raises the score. The AUC is the chance that a pixel inside is hotter than one outside.",
    "The centre is a blob in the middle of every image, random is noise; neither knows the image.",
)

CHECKED = (
    "Above, the head, and then ever more of the net, gets random weights; a number is the rank correlation of the map "
    "before and after. Near 1 the map does not depend on what was learned (Adebayo and others, 2018).",
    "Below is the mean score while pixels are taken away or put back, the hottest first. A map that finds what counts "
    "is low in deletion and high in insertion (Petsiuk and others, 2018).",
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
    said = tuple(sentence for part in contents.heatmaps.values() for sentence in heat_sentences(part.value))
    said += tuple(sentence for part in contents.heatmaps.values() for sentence in sanity_sentences(part.value))
    if said:
        blocks.append(Block("Computed from the tables below.", steps, sentences=said))
    for net in contents.heatmaps.values():
        title = title_of(net.value.model)
        for words, part in places_of(net.value):
            if isinstance(part, Located):
                caption = f"{title}: does the heat lie in {words}? {INTERVALS} {NO_INTERVAL}"
                blocks.append(Block(caption, (net.step,), table=tables.located(part), reading=MEASURED))
            else:
                notes.append(f"{title}, heat in {words}: not measured; {part.skipped}.")
        if net.value.sanity:
            caption = f"{title}: what the maps depend on."
            if contents.random_weights:
                caption += " The nets have random weights to begin with."
            blocks.append(Block(caption, (net.step,), table=tables.sanity(net.value.sanity), reading=CHECKED))
    blocks += [block for pair in contents.beside for block in _beside(*pair)]
    return Section("heatmaps", TITLE, text, tuple(blocks), tuple(notes))


def _beside(found: Sourced[MapsBeside], picture: Sourced[bytes]) -> Iterator[Block]:
    """Yield the mean maps of images with and without COVID-19, and what they have in common."""
    own, net = found.value, title_of(found.value.model)
    if not own.groups:
        return
    caption = (
        f"{net}: mean maps of images with and without COVID-19. If those without it of the same collection look alike "
        "and those of the other do not, the maps show the collection."
    )
    yield pictured(picture.value, f"Mean heat maps of {net}, with and without COVID-19.", caption, (picture.step,))
    if own.sentence():
        yield Block("Computed from the table below.", (found.step,), sentences=(own.sentence(),))
    caption = f"{net}: maps of images with and without COVID-19. {INTERVALS}"
    reading = (
        "The correlation is by rank, of each map with the mean map of the COVID-19 images of other patients. The "
        f"middle is a square of {share(MIDDLE)} of the side, so {share(MIDDLE**2)} of the image. {NO_INTERVAL}",
    )
    yield Block(caption, (found.step,), table=tables.maps_beside(own), reading=reading)


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
