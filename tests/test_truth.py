"""What is measured on phantoms agrees with what is known of them: whether a head sees disease or an image's collection.

As params.yaml has it, with fewer images of collection B and one net. With fewer still, heads are trained for too few
steps to see the collection as clearly as they do on all images.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import cpu_count
from ruamel.yaml import YAML

from deepcovid import catalogue
from deepcovid.audits.collection import collection_of_net
from deepcovid.audits.external import Collections, Outside
from deepcovid.heads.scoring import score, score_table
from deepcovid.heads.sweep import train_recipes
from deepcovid.images.augmentation import with_copies
from deepcovid.images.decoding import decode
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import extract, normalised
from deepcovid.nets.trunks import trunk
from deepcovid.nets.weights import random_state
from deepcovid.nets.zoo import NETS
from deepcovid.sources.phantom.population import patient_images, planned, population
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.runs import Run
from tests.checkouts import ROOT, settings_of
from tests.phantoms import counts

pytestmark = pytest.mark.pipeline

LESION = 0.35


class Study:
    """Heads trained on phantoms of two collections, tested on their own test images and on others, all of A."""

    def __init__(self, values):
        values["dataset"]["phantom"]["source"]["images"] = {
            "train": counts(84, 700, 300),
            "test": counts(100, 300, 100),
        }
        values["features"]["device"] = "cpu"
        values["evaluate"]["bootstrap_samples"] = 500
        settings = settings_of(values)
        self.own, self.elsewhere = (settings.parameters(name, NETS) for name in ("phantom", "phantom-external"))
        self.known = {}  # rows of the catalogue and features, by patient and by the dials that the patient depends on
        source, weights = self.own.source, self.own.weights
        healthy = [each for each in planned(source) if each.group == "normal"][: weights.calibration_images]
        _, images = self._decoded(patient_images(source, each) for each in healthy)
        self.net = trunk("resnet18", random_state("resnet18", weights.seed, normalised(torch.from_numpy(images))))

    def measured(self, lesion, shortcut):
        """Return what the paper's recipe reaches at these dials, and without COVID-19 in training."""
        table, features = self._images(self.own.source, lesion, shortcut)
        (trained,) = train_recipes(features, table, [self.own.trained["paper"]], [0, 1]).values()

        def scored(vectors):
            return score(vectors, trained.weight, trained.bias)

        test = catalogue.in_test(table)
        own = score_table(table[test], scored(features[test.to_numpy()]), ["seed_0", "seed_1"])
        rows, vectors = self._images(self.elsewhere.source, lesion, shortcut)
        at_home, options = Run("resnet18", "paper", 0.5, own), self.own.evaluate
        inside = Bootstrap.of(own, options).auc_estimate(at_home.score)
        shown = ["seed_0", "seed_1"].index(at_home.shown)
        apart = Collections(rows, own, options).told_apart(scored(vectors)[:, shown], at_home.score)
        outside = Outside(rows, table[test], np.zeros(len(rows), dtype=bool), options)
        found = outside.reached(scored(vectors), at_home.score, shown, 0.5, 10, inside, apart)
        without = collection_of_net(
            (table, features),
            (rows, vectors),
            (~catalogue.covid(rows)).to_numpy(),
            self.own.trained["paper"],
            [0, 1],
            options,
            self.own.audit.seed,
        )
        return found, without

    def _images(self, source, lesion, shortcut):
        """Return the catalogue and the features of all images; patients whom no dial changes are drawn once."""
        wanted = {
            (
                source.seed,
                each.number,
                lesion if each.group != "normal" else None,
                shortcut if source.collections[each.group] == "A" else None,
            ): each
            for each in planned(source)
        }
        new = [key for key in wanted if key not in self.known]
        turned = source.model_copy(update={"lesion": lesion, "shortcut": shortcut})
        table, images = self._decoded(population([wanted[key] for key in new], turned, cpu_count()))
        batches = np.array_split(images, len(images) // self.own.features.batch_size)
        features = np.concatenate(list(extract(self.net, batches, self.own.features)))
        places = table.groupby("patient_id").indices
        for key in new:
            own = places.get(f"phantom-{source.seed}-{wanted[key].number:05d}", [])
            self.known[key] = table.iloc[own], features[own]
        tables, vectors = zip(*(self.known[key] for key in wanted), strict=True)
        return pd.concat(tables, ignore_index=True), np.concatenate(vectors)

    def _decoded(self, patients):
        """Return the AP images of some patients, and their copies, as the pipeline decodes them."""
        size = resize_and_crop(self.own.image_size)
        drawn = (
            (phantom.row | {"split": phantom.row["published_split"], "augmentation_of": ""}, decode(phantom.file, size))
            for phantoms in patients
            for phantom in phantoms
            if phantom.row["view"] == "AP"
        )
        rows, pixels = zip(*with_copies(drawn, self.own.augment), strict=True)
        return pd.DataFrame(rows), np.stack(pixels)[..., None]


@pytest.fixture(scope="module")
def study():
    return Study(YAML(typ="safe", pure=True).load(ROOT / "params.yaml"))


def test_with_a_shortcut_and_disease_heads_see_the_collection(study):
    found, without = study.measured(LESION, shortcut=1.0)
    assert found.inside.value > 0.9
    assert without.collection.auc.value > 0.9  # and do as well without any COVID-19
    assert without.similar is None or without.similar.auc.value < 0.75
    assert found.collection.value > 0.9
    outside = found.run.auc
    assert outside.low <= 0.5 <= outside.high or outside.high < 0.65


@pytest.mark.parametrize("lesion", [LESION, 1.0])
def test_without_a_shortcut_what_heads_reach_inside_they_reach_outside(study, lesion):
    found, without = study.measured(lesion, shortcut=0.0)
    if lesion < 1:  # where lesions are large, heads that learned nothing of them may still see them by chance
        assert 0.35 < without.collection.auc.value < 0.65
    assert abs(found.inside.value - found.run.auc.value) < 0.1
    assert 0.4 < found.collection.value < 0.6
    if lesion == 1:  # they can see the disease
        assert min(found.inside.low, found.run.auc.low) > 0.6


def test_without_disease_heads_are_as_good_inside_and_know_nothing_outside(study):
    found, _ = study.measured(0.0, shortcut=1.0)
    assert found.inside.low > 0.85
    assert 0.4 < found.run.auc.value < 0.6
