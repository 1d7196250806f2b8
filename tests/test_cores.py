"""Work is shared out over the cores that this process may use, as in a container, not over all of the machine's."""

import os
import zipfile

import numpy as np
import pandas as pd
import pytest

from deepcovid import sources
from deepcovid.heads import prediction
from deepcovid.images import decoding, resizing
from deepcovid.sources.phantom import source as phantom
from tests.phantoms import phantom_source
from tests.radiographs import noise, png


@pytest.fixture
def one_core():
    """One core for this process, on a machine that has more."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2 or os.cpu_count() < 2:
        pytest.skip("needs a machine with two cores")
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


def recorded(monkeypatch, module, name):
    """Return the list to which each call of a pool or a function, `name` in `module`, adds its number of workers."""
    workers, original = [], getattr(module, name)

    def call(*arguments, **options):
        workers.append(options.get("workers", arguments[-1] if arguments else None))
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, call)
    return workers


def test_images_are_decoded_on_the_cores_that_may_be_used(one_core, tmp_path, monkeypatch):
    workers = recorded(monkeypatch, decoding, "ThreadPoolExecutor")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.png", png(noise()))
    row = {"image_id": "one", "archive": "a.zip", "member": "one.png", "sha256": "", "augmentation_of": ""}
    assert len(list(decoding.decoded_images(pd.DataFrame([row]), tmp_path, {}, resizing.resize_and_crop(224)))) == 1
    assert workers == [1]


def test_a_users_images_are_read_on_the_cores_that_may_be_used(one_core, monkeypatch):
    workers = recorded(monkeypatch, prediction, "ThreadPoolExecutor")
    assert len(list(prediction.attempts([lambda: np.zeros((2, 2), np.uint8)], size=1))) == 1
    assert workers == [1]


def test_phantoms_are_drawn_on_the_cores_that_may_be_used(one_core, tmp_path, monkeypatch):
    workers = recorded(monkeypatch, phantom, "population")
    sources.prepare(phantom_source(), tmp_path, tmp_path, [])
    assert workers == [1]
