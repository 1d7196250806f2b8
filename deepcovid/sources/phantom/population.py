"""Patients in three groups, with views and repeats, each image with its row in the catalogue and its lesion mask."""

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepcovid.passes.forked import one_after_another
from deepcovid.settings.datasets import Group, PhantomSource
from deepcovid.sources.phantom import lesions
from deepcovid.sources.phantom.anatomy import Chest, Map, Patient, Pose, chest
from deepcovid.sources.phantom.imaging import Exposure, image
from deepcovid.sources.phantom.processing import MACHINES, Machine, drawn, jpeg, processed

LABELS: dict[Group, str] = {"covid": "covid", "normal": "non", "other": "non"}
FINDINGS: dict[Group, tuple[str, ...]] = {
    "covid": ("COVID-19",),
    "normal": ("No Finding",),
    "other": lesions.OTHER_FINDINGS,
}
COUNTED = "AP"  # the view of which there are as many images as wanted
TOGETHER = 16  # patients whose images a process hands over at a time


@dataclass(frozen=True)
class Planned:
    """A patient whose images are to be drawn.

    Attributes:
        number: Counted from 0 over all patients.
        group: What the patient has.
        side: train or test.
        views: The view of each image.
    """

    number: int
    group: Group
    side: str
    views: tuple[str, ...]


@dataclass(frozen=True)
class Phantom:
    """One synthetic image.

    Attributes:
        row: Its columns in the catalogue.
        file: The image as a JPEG file.
        mask: bool (height, width), where a finding is visible.
    """

    row: dict[str, str]
    file: bytes
    mask: NDArray[np.bool_]


def population(patients: list[Planned], source: PhantomSource, workers: int) -> Generator[list[Phantom]]:
    """Yield each patient's images; the same source gives the same bytes whatever the number of workers.

    Raises:
        UserError: A worker died.
    """
    parts = [patients[start : start + TOGETHER] for start in range(0, len(patients), TOGETHER)]
    with closing(one_after_another([partial(_images_of, source, part) for part in parts], workers)) as drawn:
        for images in drawn:
            yield from images


def planned(source: PhantomSource) -> list[Planned]:
    """Return the patients that make up the wanted numbers of AP images.

    The last patient of a group has no more of them than are missing.
    """
    views, shares = list(source.views), np.array(list(source.views.values()))
    patients: list[Planned] = []
    for side, counts in (("train", source.images.train), ("test", source.images.test)):
        for group in LABELS:
            missing = getattr(counts, group)
            while missing:
                rng = np.random.default_rng([source.seed, len(patients), 0])
                images = 1 + (int(rng.integers(1, 3)) if rng.random() < source.repeat_share else 0)
                own = [str(view) for view in rng.choice(views, images, p=shares / shares.sum())]
                kept = [view for place, view in enumerate(own) if view != COUNTED or own[:place].count(view) < missing]
                missing -= kept.count(COUNTED)
                patients.append(Planned(len(patients), group, side, tuple(kept)))
    return patients


def patient_images(source: PhantomSource, planned: Planned) -> list[Phantom]:
    """Return the images of one patient.

    The body and its findings, and the machine and the processing, are drawn from streams of their own: a dial changes
    what it is about and nothing else.
    """
    rng = np.random.default_rng([source.seed, planned.number, 1])
    technique = np.random.default_rng([source.seed, planned.number, 2])
    sex = str(rng.choice(["F", "M"]))
    age = int(np.clip(rng.normal(57, 16), 18, 95))
    size = rng.normal(1.0 if sex == "M" else 0.93, 0.05)
    patient = Patient(
        size=float(np.clip(size, 0.8, 1.15)),
        width=float(np.clip(rng.normal(1.0, 0.05), 0.85, 1.15)),
        depth=float(np.clip(rng.normal(20, 2.5), 15, 28)),
        heart=float(np.clip(rng.normal(1.0, 0.06), 0.85, 1.2)),
        ribs=float(np.clip(rng.normal(1.0, 0.12), 0.6, 1.4)),
    )
    finding = str(rng.choice(FINDINGS[planned.group]))
    severity = float(rng.beta(2, 2))
    machine = MACHINES[int(technique.integers(len(MACHINES)))]
    collection = source.collections[planned.group]
    patient_id = f"phantom-{source.seed}-{planned.number:05d}"
    phantoms = []
    for index, view in enumerate(planned.views):
        worse = float(np.clip(severity + rng.normal(0, 0.1), 0, 1))
        pixels, mask = _take(rng, technique, patient, finding, worse, view, machine, source)
        processing = drawn(technique, machine, collection, source.shortcut)
        stored = processed(pixels, processing)
        row = {
            "image_id": f"{patient_id}-{index}",
            "label": LABELS[planned.group],
            "finding": finding,
            "view": view,
            "modality": "CT" if view == "Axial" else "X-ray",
            "patient_id": patient_id,
            "sex": sex,
            "age": str(age),
            "collection": collection,
            "published_split": planned.side,
        }
        phantoms.append(Phantom(row, jpeg(stored, processing), _resized(mask, stored.shape)))
    return phantoms


def _images_of(source: PhantomSource, patients: Iterable[Planned]) -> list[list[Phantom]]:
    return [patient_images(source, patient) for patient in patients]


def _take(
    rng: np.random.Generator,
    technique: np.random.Generator,
    patient: Patient,
    finding: str,
    severity: float,
    view: str,
    machine: Machine,
    source: PhantomSource,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return one radiograph, as the detector has it, and the mask of its finding."""
    if finding == "Cardiomegaly":
        patient = replace(patient, heart=patient.heart * (1 + source.lesion * (0.25 + 0.25 * severity)))
    lying = view == "AP"
    pose = Pose(
        view=view,
        rotation=float(rng.normal(0, 3.0 if lying else 1.5)),
        shift=(float(rng.normal(0, 0.8)), float(rng.normal(0, 0.8))),
        breath=float(np.clip(rng.normal(0.86 if lying else 0.97, 0.05), 0.7, 1.0)),
    )
    width = int(source.height * rng.uniform(0.95, 1.2))
    clear = chest(source.height, width, patient, pose)
    filled, mask = _with_finding(rng, clear, finding, severity, source.lesion)
    exposure = Exposure(
        dose=float(machine.dose * np.exp(technique.normal(0, 0.2))),
        window=(float(technique.uniform(1.5, 4.0)), float(technique.uniform(96.0, 98.5))),
        gamma=1.0,
        blur=machine.blur,
    )
    return image(rng, filled, view, exposure), mask


def _resized(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask.shape == shape:
        return mask
    height, width = shape
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def _with_finding(
    rng: np.random.Generator, clear: Chest, finding: str, severity: float, factor: float
) -> tuple[Chest, NDArray[np.bool_]]:
    if finding == "No Finding":
        return clear, np.zeros(clear.lung.shape, dtype=bool)
    if finding == "Cardiomegaly":
        return clear, lesions.mask_of(clear.heart) & (factor > 0)
    draw = {
        "COVID-19": lesions.covid,
        "Consolidation": lesions.consolidation,
        "Pleural Effusion": lesions.effusion,
        "Lung Lesion": lesions.nodules,
    }[finding]
    lesion: Map = factor * draw(rng, clear, severity)
    return clear.filled(lesion), lesions.mask_of(lesion)
