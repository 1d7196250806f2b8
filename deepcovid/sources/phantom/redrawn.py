"""Phantoms drawn again, the same but for their lesions or for the collection that processes them."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

from deepcovid.passes.forked import at_once
from deepcovid.settings.datasets import Collection, PhantomSource
from deepcovid.sources.phantom.population import Planned, patient_images, planned


class Variant(NamedTuple):
    """How images are drawn again: with or without their findings, and which collection processes them."""

    lesions: bool
    collection: Collection


def redrawn(source: PhantomSource, images: Sequence[str], variants: Iterable[Variant]) -> dict[Variant, list[bytes]]:
    """Return the files of these images, drawn again in each variant.

    Bodies, machines and processing have random streams of their own, so that nothing else changes.

    Args:
        source: What they were drawn from.
        images: Their image_id.
        variants: What to change.
    """
    patients = {int(name.split("-")[2]) for name in images}
    wanted = [one for one in planned(source) if one.number in patients]
    sources = {variant: _changed(source, variant) for variant in variants}
    drawn = at_once([partial(_files, changed, patient) for changed in sources.values() for patient in wanted])
    found = {}
    for number, variant in enumerate(sources):
        own = drawn[number * len(wanted) : (number + 1) * len(wanted)]
        files = {name: file for part in own for name, file in part.items()}
        found[variant] = [files[name] for name in images]
    return found


def _changed(source: PhantomSource, variant: Variant) -> PhantomSource:
    collections = dict.fromkeys(source.collections, variant.collection)
    lesion = source.lesion if variant.lesions else 0.0
    return source.model_copy(update={"collections": collections, "lesion": lesion})


def _files(source: PhantomSource, patient: Planned) -> dict[str, bytes]:
    return {phantom.row["image_id"]: phantom.file for phantom in patient_images(source, patient)}
