"""Score changed test images with the trained heads, to see what in an image the score uses.

Images with COVID-19 get the frame of images without it, and the other way round. They are also made as sharp as others,
blurred, saved again, and cut at the margins. Phantoms are drawn again without their lesions, and processed like the
other collection.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from deepcovid import catalogue
from deepcovid.audits.changed import LIKE_FRAME, OTHER_FRAME, Changed, OfNet, parts, shift
from deepcovid.fetching import packaged
from deepcovid.heads.head_files import check_weights, read_head
from deepcovid.heads.scoring import log_odds
from deepcovid.images.changes import as_sharp_as, blurred, centre, composed, saved_again, without_margins
from deepcovid.images.decoding import decode
from deepcovid.images.masks import lung_masks, lung_places
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import extract, keep_large_buffers
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.parameters import Parameters
from deepcovid.progress import track
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.settings.datasets import Collection, PhantomSource
from deepcovid.sources.phantom.redrawn import Variant, redrawn
from stages import _audit, paths
from stages._pixels import read_pixels

CENTRE = 0.75  # side of the square that counts as the middle of an image, as a share of the image's side
BLUR = 1 / 112  # standard deviation of the filter that takes fine detail away, share of the side: two pixels at 224
QUALITY = 60  # JPEG quality of images that are saved again
MARGIN = 0.1  # share of the side that is cut off at each side

Pixels = NDArray[np.uint8]
Masks = list[NDArray[np.bool_] | None]
Images = Callable[[slice], Pixels]  # returns a slice of the images, which need not all be in memory


class Scorer:
    """A net and its median head."""

    def __init__(self, parameters: Parameters, dataset: str, model: str) -> None:
        file = paths.handed_on(dataset, "audited") / f"{model}-{parameters.audit.recipe}.safetensors"
        head = read_head(file, (dataset, model, parameters.audit.recipe))
        check_weights(file, head, paths.weights(dataset, model))
        keep_large_buffers()
        self.net, self.settings = trunk(*read_state(paths.weights(dataset, model))), parameters.features
        self.head, self.threshold = head.shown_head(), float(logit(head.choices.cut_off))

    def log_odds(self, images: Images, count: int) -> NDArray[np.float64]:
        """Return the log-odds of covid for `count` images."""
        size = self.settings.batch_size
        batches = (images(slice(start, start + size)) for start in range(0, count, size))
        features = np.concatenate(list(extract(self.net, batches, self.settings)))
        return log_odds(features, *self.head)[:, 0]


def changed(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    pixels = read_pixels(dataset, parameters.image_size, len(table))
    covid, others = chosen(table, parameters.audit.seed)
    drawn = drawn_again(parameters, covid, pixels.shape[-1])
    changes = Changes(pixels, covid, others, masks_of(parameters, dataset, covid), drawn)
    nets = {}
    for model in track(parameters.audited_models, "scoring changed images", unit="nets"):
        nets[model] = measured(Scorer(parameters, dataset, model), changes, parameters.evaluate)
    found = Changed(recipe=parameters.audit.recipe, nets=nets, skipped=None if nets else "audited_models names no net")
    _audit.write(found, dataset, "changed")


def chosen(table: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the COVID test images and as many other test images, drawn with a seed.

    If there are fewer others, only as many COVID images are returned.
    """
    test, covid = catalogue.in_test(table), catalogue.covid(table)
    own, rest = table[test & covid], table[test & ~covid]
    count = min(len(own), len(rest))
    rows = np.random.default_rng(seed).choice(len(rest), count, replace=False)
    return own[:count], rest.iloc[rows]


class Changes:
    """Images with COVID-19, a partner for each, and what can be changed about them.

    Attributes:
        covid: Catalogue rows of the images (images).
        others: Catalogue rows of their partners without COVID-19 (images).
        drawn: The same images drawn again, by variant; empty if they are not phantoms.
    """

    def __init__(
        self,
        pixels: Pixels,
        covid: pd.DataFrame,
        others: pd.DataFrame,
        lungs: Masks,
        drawn: dict[Variant, Pixels],
    ) -> None:
        self.covid, self.others, self.drawn = covid, others, drawn
        self._pixels, self._lungs = pixels, lungs
        self._alike = covid.iloc[of_other_patients(catalogue.patients(covid))]

    def of(self, rows: pd.DataFrame) -> Images:
        """Return the images of catalogue rows, unchanged."""
        places = rows.index.to_numpy()
        return lambda part: np.asarray(self._pixels[places[part]])

    def of_covid(self) -> dict[str, Images]:
        """Return the changes that suit every image with COVID-19, by their names in plain words."""
        own, other, alike = self.of(self.covid), self.of(self.others), self.of(self._alike)
        side = self._pixels.shape[1]
        middle = centre(side, CENTRE)[None]
        return {
            OTHER_FRAME: lambda part: composed(own(part), other(part), middle),
            LIKE_FRAME: lambda part: composed(own(part), alike(part), middle),
            "COVID-19, the frame kept, the middle of another": lambda part: composed(other(part), own(part), middle),
            "COVID-19, as sharp as an image without it": lambda part: as_sharp_as(own(part), other(part), BLUR * side),
            "COVID-19, as sharp as another COVID-19 patient": lambda part: as_sharp_as(
                own(part), alike(part), BLUR * side
            ),
            "COVID-19, blurred": lambda part: blurred(own(part), BLUR * side),
            f"COVID-19, saved again, quality {QUALITY}": lambda part: saved_again(own(part), QUALITY),
            "COVID-19, margins cut off": lambda part: without_margins(own(part), MARGIN),
            **{_named(variant): _of(files) for variant, files in list(self.drawn.items())[1:]},
        }

    def of_others(self) -> dict[str, Images]:
        """Return the changes that suit every image without COVID-19."""
        own, other, side = self.of(self.covid), self.of(self.others), self._pixels.shape[1]
        middle = centre(side, CENTRE)[None]
        return {
            "without COVID-19, in the frame of an image with it": lambda part: composed(other(part), own(part), middle),
            "without COVID-19, as sharp as an image with it": lambda part: as_sharp_as(
                other(part), own(part), BLUR * side
            ),
        }

    def of_lungs(self) -> tuple[NDArray[np.bool_], dict[str, Images]]:
        """Return which images with COVID-19 have a lung mask, and the changes that use it."""
        known = np.array([mask is not None for mask in self._lungs])
        masks = np.array([mask for mask in self._lungs if mask is not None])
        own, other = self.of(self.covid[known]), self.of(self.others[known])
        return known, {
            "COVID-19, the lungs kept, all else of another": lambda part: composed(own(part), other(part), masks[part]),
            "COVID-19, in the lungs' place what another has there": lambda part: composed(
                other(part), own(part), masks[part]
            ),
        }


def of_other_patients(patients: pd.Series) -> NDArray[np.intp]:
    """Return for each image (images) the place of the next image of another patient, or any place if there is none."""
    names, count = patients.to_numpy(), len(patients)
    places = np.arange(count)
    for step in range(1, count):
        same = names[places] == names
        places = np.where(same, (np.arange(count) + step) % count, places)
    return places


def measured(scorer: Scorer, changes: Changes, settings: EvaluateSettings) -> OfNet:
    """Return what each change does to the scores of one net."""
    shifts = {}
    known, of_lungs = changes.of_lungs()
    for rows, makers in (
        (changes.covid, changes.of_covid()),
        (changes.others, changes.of_others()),
        (changes.covid[known], of_lungs),
    ):
        if len(rows):
            before, patients = scorer.log_odds(changes.of(rows), len(rows)), catalogue.patients(rows)
            for name, images in makers.items():
                after = scorer.log_odds(images, len(rows))
                shifts[name] = shift(before, after, patients, scorer.threshold, settings)
    if not changes.drawn:
        return OfNet(shifts=shifts)
    own = next(iter(changes.drawn)).collection
    by_part = {
        (variant.lesions, variant.collection == own): scorer.log_odds(_of(files), len(files))
        for variant, files in changes.drawn.items()
    }
    return OfNet(shifts=shifts, parts=parts(by_part, catalogue.patients(changes.covid), settings))


def drawn_again(parameters: Parameters, rows: pd.DataFrame, channels: int) -> dict[Variant, Pixels]:
    """Draw the phantoms in these catalogue rows again in every variant. The first variant is the images as they were.

    The result is empty if the images are not phantoms.
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


def masks_of(parameters: Parameters, dataset: str, rows: pd.DataFrame) -> Masks:
    """Return the lung mask of each image, or None where there is none."""
    raw = paths.data(dataset, "raw")
    places = lung_places(raw, packaged(paths.SOURCES, "lung-masks").path)
    return lung_masks(raw, rows, places, parameters.image_size)


def _of(files: Pixels) -> Images:
    return lambda part: files[part]


def _named(variant: Variant) -> str:
    lesions = "" if variant.lesions else ", drawn without its lesions"
    return f"COVID-19{lesions}, processed as collection {variant.collection}"
