"""Score changed test images with the heads as they are: what a score uses, not what would suffice.

Images with COVID-19 are given the frame of others and the other way round, blurred, saved again, cut at the margins.
Phantoms are also drawn again without their lesions, and processed as the other collection does.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from deepcovid import catalogue
from deepcovid.audits.changed import OTHER_FRAME, Changed, OfNet, Parts, parts, shift
from deepcovid.fetching import packaged
from deepcovid.heads.head_files import check_weights, read_head
from deepcovid.heads.scoring import log_odds
from deepcovid.images.changes import blurred, centre, composed, saved_again, without_margins
from deepcovid.images.decoding import decode
from deepcovid.images.masks import lung_masks, lung_places
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import extract, keep_large_buffers
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.parameters import Parameters
from deepcovid.progress import track
from deepcovid.settings import Collection, PhantomSource
from deepcovid.sources.phantom.redrawn import Variant, redrawn
from stages import _audit, _run, paths
from stages._pixels import read_pixels

CENTRE = 0.75  # side of the square that counts as the middle of an image, share of the image's
BLUR = 1 / 112  # of the side: two pixels at 224
QUALITY = 60  # of the JPEG that an image is saved as again
MARGIN = 0.1  # of the side, cut off on each side

Pixels = NDArray[np.uint8]
LogOdds = Callable[[Pixels], NDArray[np.float64]]


def changed(parameters: Parameters, dataset: str) -> None:
    table, pixels = catalogue.read(paths.data(dataset, "images.csv")), read_pixels(dataset, parameters.image_size)
    covid, others = chosen(table)
    shown = {name: np.asarray(pixels[rows.index.to_numpy()]) for name, rows in (("covid", covid), ("others", others))}
    drawn = drawn_again(parameters, covid, shown["covid"].shape[-1])
    lungs = masks_of(parameters, dataset, covid)
    nets = {}
    for model in track(parameters.audited_models, "scoring changed images", unit="nets"):
        scored, threshold = head_of(parameters, dataset, model)
        nets[model] = measured(parameters, scored, threshold, (covid, others), shown, lungs, drawn)
    found = Changed(recipe=parameters.audit.recipe, nets=nets, skipped=None if nets else "audited_models names no net")
    _audit.write(found, dataset, "changed")


def chosen(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the COVID test images, and as many others, drawn with a seed; fewer where there are fewer."""
    test, covid = catalogue.in_test(table), catalogue.covid(table)
    own, rest = table[test & covid], table[test & ~covid]
    count = min(len(own), len(rest))
    rows = np.random.default_rng(0).choice(len(rest), count, replace=False)
    return own[:count], rest.iloc[rows]


def head_of(parameters: Parameters, dataset: str, model: str) -> tuple[LogOdds, float]:
    """Return what gives images their log-odds, by the net and its head that is shown, and from where they are covid."""
    file = paths.handed_on(dataset, "audited") / f"{model}-{parameters.audit.recipe}.safetensors"
    head = read_head(file)
    check_weights(file, head, paths.weights(dataset, model))
    keep_large_buffers()
    net, size = trunk(*read_state(paths.weights(dataset, model))), parameters.features.batch_size

    def scored(images: Pixels) -> NDArray[np.float64]:
        batches = (images[start : start + size] for start in range(0, len(images), size))
        features = np.concatenate(list(extract(net, batches, parameters.features)))
        return log_odds(features, *head.shown_head())[:, 0]

    return scored, float(logit(head.choices.cut_off))


def measured(
    parameters: Parameters,
    scored: LogOdds,
    threshold: float,
    rows: tuple[pd.DataFrame, pd.DataFrame],
    shown: dict[str, Pixels],
    lungs: list[NDArray[np.bool_] | None],
    drawn: dict[Variant, Pixels],
) -> OfNet:
    """Return what each change does to the scores of one net."""
    (covid, others), settings = rows, parameters.evaluate
    own, rest = shown["covid"], shown["others"]
    ill, patients = scored(own), catalogue.patients(covid)
    known = np.array([mask is not None for mask in lungs])
    masks = np.array([mask for mask in lungs if mask is not None])
    side = own.shape[1]
    middle = np.broadcast_to(centre(side, CENTRE), own.shape[:3])
    images = {
        OTHER_FRAME: composed(own, rest, middle),
        "COVID-19, the frame kept, the middle of another": composed(rest, own, middle),
        "COVID-19, blurred": blurred(own, BLUR * side),
        f"COVID-19, saved again, quality {QUALITY}": saved_again(own, QUALITY),
        "COVID-19, margins cut off": without_margins(own, MARGIN),
        **{_named(variant): files for variant, files in list(drawn.items())[1:]},  # the first is as it was
    }
    shifts = {name: shift(ill, scored(part), patients, threshold, settings) for name, part in images.items()}
    well, of_others = scored(rest), catalogue.patients(others)
    framed = scored(composed(rest, own, middle))
    shifts["without COVID-19, in the frame of an image with it"] = shift(well, framed, of_others, threshold, settings)
    if len(masks):
        for name, part in (
            ("COVID-19, the lungs kept, all else of another", composed(own[known], rest[known], masks)),
            ("COVID-19, the lungs of another, all else kept", composed(rest[known], own[known], masks)),
        ):
            shifts[name] = shift(ill[known], scored(part), patients[known], threshold, settings)
    return OfNet(shifts=shifts, parts=parts_of(parameters, scored, drawn, patients))


def parts_of(
    parameters: Parameters, scored: LogOdds, drawn: dict[Variant, Pixels], patients: pd.Series
) -> Parts | None:
    """Return what of a phantom's score is of the disease and what of the collection, where both are known."""
    if not drawn:
        return None
    own = next(iter(drawn)).collection
    by_part = {(variant.lesions, variant.collection == own): scored(files) for variant, files in drawn.items()}
    return parts(by_part, patients, parameters.evaluate)


def drawn_again(parameters: Parameters, rows: pd.DataFrame, channels: int) -> dict[Variant, Pixels]:
    """Return phantoms, rows of the catalogue, drawn again in every variant, first as they were.

    Nothing of images that are no phantoms.
    """
    if not isinstance(parameters.source, PhantomSource):
        return {}
    own = parameters.source.collections["covid"]
    collections: tuple[Collection, ...] = (own, "A" if own == "B" else "B")
    variants = [Variant(lesions, collection) for lesions in (True, False) for collection in collections]
    files = redrawn(parameters.source, rows["image_id"].tolist(), variants)
    framing = resize_and_crop(parameters.image_size)
    return {
        variant: np.stack([decode(file, framing).reshape(parameters.image_size, -1, channels) for file in own])
        for variant, own in files.items()
    }


def masks_of(parameters: Parameters, dataset: str, rows: pd.DataFrame) -> list[NDArray[np.bool_] | None]:
    """Return the lung mask of each image, or None where there is none."""
    raw = paths.data(dataset, "raw")
    places = lung_places(raw, packaged(paths.SOURCES, "lung-masks").path)
    return lung_masks(raw, rows, places, parameters.image_size)


def _named(variant: Variant) -> str:
    lesions = "" if variant.lesions else ", drawn without its lesions"
    return f"COVID-19{lesions}, processed as collection {variant.collection}"


if __name__ == "__main__":
    _run.run(changed)
