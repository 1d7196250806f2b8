"""Patients in three groups, with views and repeats, each image with its row in the catalogue and its lesion mask."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from deepcovid.settings import Group, PhantomSource
from deepcovid.sources.phantom import lesions
from deepcovid.sources.phantom.anatomy import Chest, Map, Patient, Pose, chest
from deepcovid.sources.phantom.imaging import Exposure, image

LABELS: dict[Group, str] = {"covid": "covid", "normal": "non", "other": "non"}


@dataclass(frozen=True)
class Phantom:
    """One synthetic image.

    Attributes:
        row: Its columns in the catalogue.
        pixels: uint8 (height, width).
        mask: bool (height, width), where a finding is visible.
    """

    row: dict[str, str]
    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]


def population(source: PhantomSource, workers: int) -> Iterator[list[Phantom]]:
    """Yield each patient's images; the same source gives the same bytes whatever the number of workers."""
    groups = [group for group in LABELS for _ in range(source.patients.get(group, 0))]
    # Spawned, not forked: the caller may hold threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(patient_images, source), range(len(groups)), groups, chunksize=8)


def patient_images(source: PhantomSource, number: int, group: Group) -> list[Phantom]:
    """Return the one to three images of the patient with this number."""
    rng = np.random.default_rng([source.seed, number])
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
    findings = {"covid": ("COVID-19",), "normal": ("No Finding",), "other": lesions.OTHER_FINDINGS}[group]
    finding = str(rng.choice(findings))
    severity = float(rng.beta(2, 2))
    images = 1 + (int(rng.integers(1, 3)) if rng.random() < source.repeat_share else 0)
    shares = np.array(list(source.views.values()))
    phantoms = []
    for index in range(images):
        view = str(rng.choice(list(source.views), p=shares / shares.sum()))
        pixels, mask = _take(rng, patient, finding, float(np.clip(severity + rng.normal(0, 0.1), 0, 1)), view, source)
        row = {
            "image_id": f"phantom-{number:05d}-{index}",
            "label": LABELS[group],
            "finding": finding,
            "view": view,
            "modality": "CT" if view == "Axial" else "X-ray",
            "patient_id": f"phantom-{number:05d}",
            "sex": sex,
            "age": str(age),
        }
        phantoms.append(Phantom(row, pixels, mask))
    return phantoms


def _take(
    rng: np.random.Generator, patient: Patient, finding: str, severity: float, view: str, source: PhantomSource
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return one radiograph and the mask of its finding."""
    if finding == "Cardiomegaly":
        patient = replace(patient, heart=patient.heart * (1.25 + 0.25 * severity))
    lying = view == "AP"
    pose = Pose(
        view=view,
        rotation=float(rng.normal(0, 3.0 if lying else 1.5)),
        shift=(float(rng.normal(0, 0.8)), float(rng.normal(0, 0.8))),
        breath=float(np.clip(rng.normal(0.86 if lying else 0.97, 0.05), 0.7, 1.0)),
    )
    width = int(source.height * rng.uniform(0.95, 1.2))
    clear = chest(source.height, width, patient, pose)
    filled, mask = _with_finding(rng, clear, finding, severity)
    exposure = Exposure(
        dose=float(np.exp(rng.normal(0, 0.2))),
        window=(float(rng.uniform(1.5, 4.0)), float(rng.uniform(96.0, 98.5))),
        gamma=float(np.exp(rng.normal(0, 0.08))),
    )
    return image(rng, filled, view, exposure), mask


def _with_finding(
    rng: np.random.Generator, clear: Chest, finding: str, severity: float
) -> tuple[Chest, NDArray[np.bool_]]:
    if finding == "No Finding":
        return clear, np.zeros(clear.lung.shape, dtype=bool)
    if finding == "Cardiomegaly":
        return clear, lesions.mask_of(clear.heart)
    draw = {
        "COVID-19": lesions.covid,
        "Consolidation": lesions.consolidation,
        "Pleural Effusion": lesions.effusion,
        "Lung Lesion": lesions.nodules,
    }[finding]
    lesion: Map = draw(rng, clear, severity)
    return clear.filled(lesion), lesions.mask_of(lesion)
