"""What the score means, in five short sentences, each with one number, in the order in which a reader needs them."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from deepcovid.audits.audit import Audit
from deepcovid.audits.changed import OTHER_FRAME, Changed
from deepcovid.audits.collection import Collection
from deepcovid.audits.external import External
from deepcovid.drawing.tables import signed, spread
from deepcovid.nets.zoo import title_of

Kind = TypeVar("Kind", bound=Audit)


def verdict(found: Mapping[str, Audit], model: str) -> Iterator[str]:
    """Yield the sentences on one net that the audits at hand allow; none where the net was in none of them.

    Args:
        found: Results by name, as deepcovid.audits.registry.results_of has them.
        model: The net.
    """
    net = title_of(model)
    for external in _of(found, External):
        if own := external.told.get(model):
            where = f"On test images of its own data set, {net} under {external.recipe}"
            yield f"{where} reaches an AUC of {spread(own.inside)}."
    for collection in _of(found, Collection):
        if learned := collection.nets.get(model):
            yield (
                f"Heads that never saw COVID-19, but other images of {collection.images}, reach "
                f"{spread(learned.collection.auc)} there."
            )
    for external in _of(found, External):
        if own := external.told.get(model):
            yield (
                f"Within {external.images}, where all images are of one collection, the heads that saw COVID-19 reach "
                f"{spread(own.run.auc)}."
            )
            yield (
                f"They tell the images without COVID-19 of {external.images} from their own data set's with an AUC of "
                f"{spread(own.collection)}."
            )
    for changed in _of(found, Changed):
        if moved := changed.nets.get(model):
            if moved.parts:
                yield (
                    f"Of what the score gives COVID-19 in log-odds, {signed(moved.parts.disease)} is of the disease "
                    f"and {signed(moved.parts.collection)} of the collection."
                )
            elif OTHER_FRAME in moved.shifts:
                one = moved.shifts[OTHER_FRAME]
                yield (
                    f"In the frame of an image without COVID-19, it finds {one.called} of {one.images} COVID-19 "
                    f"images; in their own, {one.called_before}."
                )


def _of(found: Mapping[str, Audit], kind: type[Kind]) -> list[Kind]:
    return [audit for audit in found.values() if isinstance(audit, kind)]
