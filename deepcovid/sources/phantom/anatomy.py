"""A chest as path lengths: for each ray, the centimetres of lung, soft tissue and bone it passes.

Organs are analytic solids (ellipsoids, tubes, plates) whose chord along the ray is known in closed form.
Coordinates are centimetres from the middle of the chest, x towards the patient's left (the image's right), y down.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Map = NDArray[np.floating[Any]]

FIELD_HEIGHT = 30.0  # cm, the height of the imaged field
CENTRE = 1.5  # cm, how far the field's middle lies above the chest's
RIBS, RIB_TO_RIB = 10, 2.35  # of a row seen from the front: how many there are, and cm from one to the next
# Distances in cm: source to detector as usual for each view, heart to detector by which side faces the detector.
SOURCE_TO_DETECTOR = {"AP": 100.0, "PA": 180.0, "L": 180.0}
HEART_TO_DETECTOR = {"AP": 13.0, "PA": 5.0, "L": 8.0}


@dataclass(frozen=True)
class Patient:
    """What stays the same over a patient's images.

    Attributes:
        size: Scale of the whole chest, 1 is average.
        width: Width over height of the chest, relative to average.
        depth: Thickness of the chest in cm.
        heart: Scale of the heart, 1 is average.
        ribs: Bone density, 1 is average.
    """

    size: float
    width: float
    depth: float
    heart: float
    ribs: float


@dataclass(frozen=True)
class Pose:
    """What changes from image to image.

    Attributes:
        view: AP, PA, L (lateral) or Axial (a CT-like slice).
        rotation: Rotation in the image plane, degrees.
        shift: Distance of the chest's middle from the image's, cm.
        breath: Height of the lungs, 1 is a full breath; AP images of lying patients show less.
    """

    view: str
    rotation: float
    shift: tuple[float, float]
    breath: float


@dataclass(frozen=True)
class Chest:
    """Path lengths in cm and places, each an array (height, width).

    Attributes:
        tissue: Whole path inside the body.
        lung: Path inside aerated lung.
        bone: Path inside bone.
        heart: Path inside the heart.
        x, y: Coordinates in the patient's frame, in units of an average chest's centimetres.
        periphery: 0 at the hilum, 1 at the lungs' outer edge.
    """

    tissue: Map
    lung: Map
    bone: Map
    heart: Map
    x: Map
    y: Map
    periphery: Map

    def filled(self, lesion: Map) -> "Chest":
        """Return the chest with `lesion` cm of its lung path filled by soft tissue or fluid."""
        return replace(self, lung=np.maximum(self.lung - lesion, 0))


def ellipsoid(x: Map, y: Map, half_axes: tuple[float, float, float]) -> Map:
    """Return the chord along the third axis of an ellipsoid about the origin."""
    a, b, c = half_axes
    return 2 * c * np.sqrt(np.maximum(1 - (x / a) ** 2 - (y / b) ** 2, 0))


def tube(distance: Map, radius: float, wall: float) -> Map:
    """Return the chord through the wall of a tube, given the distance of each ray from its axis."""
    square = distance**2
    outer = np.sqrt(np.maximum(radius**2 - square, 0))
    inner = np.sqrt(np.maximum((radius - wall) ** 2 - square, 0))
    return 2 * (outer - inner)


def nearest_rib(below: Map) -> NDArray[np.intp]:
    """Return which rib of a row each ray is nearest to, given how far it runs below the first one, cm."""
    return np.clip(np.rint(below / RIB_TO_RIB), 0, RIBS - 1).astype(np.intp)


def grid(height: int, width: int, patient: Patient, pose: Pose) -> tuple[Map, Map]:
    """Return x and y of every pixel in the patient's frame."""
    pixel = FIELD_HEIGHT / height
    columns = (np.arange(width, dtype=np.float32) - (width - 1) / 2) * pixel - pose.shift[0]
    rows = (np.arange(height, dtype=np.float32) - (height - 1) / 2) * pixel - pose.shift[1] - CENTRE
    angle = np.deg2rad(np.float32(pose.rotation))
    x = (columns[None, :] * np.cos(angle) + rows[:, None] * np.sin(angle)) / (patient.size * patient.width)
    y = (rows[:, None] * np.cos(angle) - columns[None, :] * np.sin(angle)) / patient.size
    return x.astype(np.float32), y.astype(np.float32)


def chest(height: int, width: int, patient: Patient, pose: Pose) -> Chest:
    """Return the chest of `patient` as `pose` shows it."""
    x, y = grid(height, width, patient, pose)
    draw = {"L": _lateral, "Axial": _axial}.get(pose.view, _frontal)
    return draw(x, y, patient, pose)


def _frontal(x: Map, y: Map, patient: Patient, pose: Pose) -> Chest:
    side = np.where(x < 0, np.float32(-1), np.float32(1))
    # Body: a flattened trunk that widens to the shoulders.
    half_width = 16.5 + 4.0 * expit(-(y + 9.5) / 0.8)
    tissue = patient.depth * np.maximum(1 - np.abs(x / half_width) ** 2.6, 0) ** 0.6
    tissue *= 0.1 + 0.9 * expit((y + 16.5 - 0.012 * x**2) / 0.5)

    # Lungs: one ellipsoid a side, narrower towards the apex, cut from below by the diaphragm's dome.
    lift = 1.0 - pose.breath
    centre_y = -1.5
    half_height = 11.5
    up = np.clip((centre_y - y) / half_height, 0, 1)
    u = (np.abs(x) - 6.9 + 0.8 * up) / (5.4 * (1 - 0.15 * up))
    v = (y - centre_y) / half_height
    lung = 2 * 6.6 * np.sqrt(np.maximum(1 - u**2 - v**2, 0))
    dome = 7.2 - np.where(x < 0, 1.2, 0.2) - 10 * lift + 0.11 * (np.abs(x) - 6.0) ** 2
    lung *= expit((dome - y) / 0.22)

    # Heart: an ellipsoid left of the middle, magnified by how far it lies from the detector.
    source, distance = SOURCE_TO_DETECTOR[pose.view], HEART_TO_DETECTOR[pose.view]
    scale = patient.heart * source / (source - distance)
    hx, hy = x - 2.2 * scale, y - 3.4 + 6 * lift
    along, across = 0.82 * hx + 0.57 * hy, -0.57 * hx + 0.82 * hy
    heart = ellipsoid(along, across, (6.3 * scale, 4.6 * scale, 4.8 * scale))
    aorta = ellipsoid(x - 2.4, y + 6.5, (1.8, 2.2, 2.0))
    hila = 2.2 * np.exp(-((np.abs(x) - 3.6) ** 2 / 3.0 + (y + 0.8) ** 2 / 7.0))
    lung = np.maximum(lung - heart - aorta - hila, 0)

    # Windpipe: air in the middle, down to where it forks.
    airway = tube(x + 0.1, 0.9, 0.9) * expit(-(y + 4.0) / 0.3) * expit((y + 16.0) / 0.5)

    bone = 1.6 * np.maximum(1 - np.clip(x / 1.7, -1, 1) ** 4, 0) * (0.75 + 0.25 * np.cos(2 * np.pi * y / 2.7))
    cage = np.maximum(12.8 * np.sqrt(np.maximum(1 - ((y - 2.0) / 17.5) ** 2, 0)), 0.1)
    inside = np.clip((cage - np.abs(x)) / 0.5, 0, 1)
    out = np.clip(np.abs(x) - 1.5, 0, None)
    back, front = inside * (out > 0), inside * (np.abs(x) > 5.0)  # where ribs run
    fall, bend, rise = 0.30 * out, 0.016 * out**2, 0.6 * (12.0 - np.abs(x))
    # Ribs of one row lie farther apart than they are high, so that a ray passes through the nearest one or none.
    tops = np.array([-13.0 + RIB_TO_RIB * rib for rib in range(RIBS)], np.float32)
    back_rib = nearest_rib(y - fall + bend - tops[0])
    front_rib = nearest_rib(y - rise - 1.5 - tops[0])
    bone += tube(y - (tops[back_rib] + fall - bend), 0.75, 0.2) * back
    bone += 0.6 * tube((y - (tops[front_rib] + 1.5 + rise)) * 0.86, 0.7, 0.2) * front
    collar = y + 12.2 + 0.16 * np.abs(x)
    bone += tube(collar, 0.7, 0.3) * np.clip((np.abs(x) - 1.2) / 0.5, 0, 1)
    # Shoulder blades: turned out of the lungs for PA, across them for AP.
    blade = 15.6 if pose.view == "PA" else 11.6
    bone += 0.45 * (((np.abs(x) - blade) / 2.6) ** 2 + ((y + 6.5 + 0.15 * side) / 6.0) ** 2 < 1)
    periphery = np.clip(((np.abs(x) - 3.0) / 9.0) ** 2 + np.clip((y + 1.0) / 14.0, 0, 1) ** 2, 0, 1)
    return Chest(
        tissue=tissue.astype(np.float32),
        lung=(lung + airway).astype(np.float32),
        bone=(patient.ribs * np.minimum(bone, 2.6)).astype(np.float32),
        heart=heart.astype(np.float32),
        x=x,
        y=y,
        periphery=periphery.astype(np.float32),
    )


def _lateral(x: Map, y: Map, patient: Patient, pose: Pose) -> Chest:
    """Seen from the side: x runs from the front (negative) to the back."""
    tissue = 26.0 * np.maximum(1 - np.abs(x / 12.5) ** 2.6, 0) ** 0.5
    lung = 2 * 9.5 * np.sqrt(np.maximum(1 - (x / 9.0) ** 2 - ((y + 1.5) / 12.0) ** 2, 0))
    lung *= expit((6.5 - 0.05 * (x + 4.0) ** 2 - y) / 0.25)
    heart = ellipsoid(x + 3.2, y - 3.2, (4.6 * patient.heart, 4.4 * patient.heart, 5.5 * patient.heart))
    lung = np.maximum(lung - heart, 0)
    bone = 2.2 * np.maximum(1 - ((x - 9.0) / 1.7) ** 4, 0) * (0.7 + 0.3 * np.cos(2 * np.pi * y / 2.7))
    for level in range(10):
        bone += tube(y - (-13.0 + 2.4 * level - 0.5 * (x - 8.0)) * 0.9, 0.5, 0.2) * (np.abs(x) < 10.5)
    zero = np.zeros_like(x)
    maps = (tissue, lung, patient.ribs * np.minimum(bone, 3.0), heart, x, y, zero)
    return Chest(*(np.asarray(part, dtype=np.float32) for part in maps))


def _axial(x: Map, y: Map, patient: Patient, pose: Pose) -> Chest:
    """A CT-like slice: one centimetre thick, so that path lengths are densities."""
    inside = ((x / 16.0) ** 2 + (y / 11.0) ** 2 < 1).astype(np.float32)
    lung = ((((np.abs(x) - 7.2) / 5.4) ** 2 + ((y + 0.5) / 7.8) ** 2) < 1).astype(np.float32)
    heart = (((x - 2.5) / 5.2) ** 2 + ((y + 2.5) / 4.2) ** 2 < patient.heart).astype(np.float32)
    bone = ((x / 2.2) ** 2 + ((y - 7.0) / 2.2) ** 2 < 1).astype(np.float32)
    ring = (x / 15.2) ** 2 + (y / 10.2) ** 2
    bone += ((ring < 1) & (ring > 0.88) & (np.cos(14 * np.arctan2(y, x)) > 0.4)).astype(np.float32)
    lung *= 1 - np.clip(heart + bone, 0, 1)
    maps = (20 * inside, 20 * lung, 4 * np.clip(bone, 0, 1), 20 * heart, x, y, np.zeros_like(x))
    return Chest(*(np.asarray(part, dtype=np.float32) for part in maps))
