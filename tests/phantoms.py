"""Small phantoms for tests: with disease in full and, unless a test says otherwise, all of one collection."""

import io

import numpy as np
from PIL import Image

from deepcovid.settings.datasets import PhantomSource
from deepcovid.sources.phantom.population import Planned

GROUPS = ("covid", "normal", "other")


def counts(covid=0, normal=0, other=0):
    """Numbers of images of each group, as in params.yaml."""
    return {"covid": covid, "normal": normal, "other": other}


def phantom_source(**changes):
    """A source of three test images; change any of its values."""
    facts = {
        "kind": "phantom",
        "seed": 3,
        "height": 224,
        "images": {"train": counts(), "test": counts(1, 1, 1)},
        "collections": dict.fromkeys(GROUPS, "B"),
        "lesion": 1.0,
        "shortcut": 0.0,
        "repeat_share": 0.0,
        "views": {"AP": 1.0},
    }
    return PhantomSource.model_validate(facts | changes)


def patient(number, group, views=("AP",)):
    """A patient of whom there are to be images of these views."""
    return Planned(number, group, "test", views)


def pixels_of(phantom):
    """The grey levels in a phantom's file, uint8 (height, width)."""
    return np.asarray(Image.open(io.BytesIO(phantom.file)))
