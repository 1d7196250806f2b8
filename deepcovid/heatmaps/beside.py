"""Do the maps of images without COVID-19 look like those of images with it, in both collections?

A map of a COVID-19 image can look like a sign of disease. If images of the same collection without COVID-19 have maps
like it, and images of the other collection have not, then the maps show the collection.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid.heatmaps.localisation import OCCLUSION, Maps, heat_inside
from deepcovid.heatmaps.sanity import Measure, correlations
from deepcovid.images.changes import centre
from deepcovid.nets.zoo import title_of
from deepcovid.schema import Strict
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.bootstrap import mean_by_patient
from deepcovid.statistics.estimate import Estimate

MIDDLE = 0.5  # side of the square in the middle, share of the image's
WITH, OWN, OTHER = "with COVID-19", "without COVID-19, own", "without COVID-19, test set"


class Group(Strict):
    """The maps of some images; means are over images, with an interval over patients from FEWEST_PATIENTS on.

    Attributes:
        images: How many there are.
        patients: Number of their patients.
        called: How many of them the head calls covid.
        alike: Rank correlation of a map with the mean map of COVID-19 images of other patients, by each method. None
            where no map has any heat.
        middle: For each method, the share of the positive heat in the middle, a square of MIDDLE of the side.
    """

    images: int
    patients: int
    called: int
    alike: dict[str, Measure | None]
    middle: dict[str, Measure | None]


class MapsBeside(Strict):
    """results/<data set>/heatmaps/<net>-beside-<test set>.json: maps of images with and without COVID-19.

    Attributes:
        heads: The data set of the heads, of the images with COVID-19 that they detect, and of a sample without.
        images: The test set that the other images without COVID-19 are from.
        model: The net.
        recipe: The recipe of its head.
        groups: The groups WITH, OWN and OTHER; none where no image without COVID-19 was wanted.
    """

    heads: str
    images: str
    model: str
    recipe: str
    groups: dict[str, Group]

    def titles(self) -> dict[str, str]:
        """Return the names of the groups for readers."""
        return {
            WITH: f"with COVID-19, of {self.heads}, detected",
            OTHER: f"without COVID-19, of {self.images}",
            OWN: f"without COVID-19, of {self.heads}",
        }

    def sentence(self) -> str:
        """Return what the sliding window's maps say; blank where there is nothing to compare."""
        found = {name: own.alike[OCCLUSION] for name, own in self.groups.items()}
        said = {name: _told(part) for name, part in found.items() if part is not None}
        if len(said) < 3:
            return ""
        return (
            f"Maps of {title_of(self.model)} are compared with the mean map of COVID-19 images. Those of images "
            f"without COVID-19 of {self.images} correlate with it by {said[OTHER]}, those of {self.heads} by "
            f"{said[OWN]}. Those of other COVID-19 patients do by {said[WITH]}."
        )


def _told(measure: Measure) -> str:
    if isinstance(measure, Estimate):
        return f"{measure.value:.2f} ({measure.low:.2f} to {measure.high:.2f})"
    return f"{measure:.2f} (too few patients for an interval)"


class Mapped(NamedTuple):
    """Some images with their maps.

    Attributes:
        maps: Maps of each method, (images, height, width).
        patients: Who each image is of (images), none blank.
        called: Which images the head calls covid (images).
    """

    maps: dict[str, Maps]
    patients: NDArray[np.object_]
    called: NDArray[np.bool_]


def groups(mapped: Mapping[str, Mapped], settings: EvaluateSettings) -> dict[str, Group]:
    """Return what the maps of each group look like.

    Args:
        mapped: The images of each group with their maps; WITH is among them.
        settings: Number and seed of the bootstrap samples.
    """
    found, covid = {}, mapped[WITH]
    for name, own in mapped.items():
        names = pd.Series(own.patients)
        alike, middle = {}, {}
        for method, maps in own.maps.items():
            means = _means_of_others(covid.maps[method], covid.patients, own.patients)
            square = centre(maps.shape[1], MIDDLE)
            inside = np.array([heat_inside(heat, square) for heat in maps])
            alike[method] = mean_by_patient(correlations(maps, means), names, settings)
            middle[method] = mean_by_patient(inside, names, settings)
        found[name] = Group(
            images=len(names), patients=names.nunique(), called=int(own.called.sum()), alike=alike, middle=middle
        )
    return found


def _means_of_others(maps: Maps, of: NDArray[np.object_], patients: NDArray[np.object_]) -> Maps:
    """Return for each of `patients` the mean of the maps of all others, (patients, height, width); 0 without others."""
    means = np.zeros((len(patients), *maps.shape[1:]), np.float32)
    for place, patient in enumerate(patients):
        if (others := of != patient).any():
            means[place] = maps[others].mean(axis=0)
    return means
