"""What the score means, in a few short sentences, in the order in which a reader needs them."""

from collections.abc import Iterator, Mapping

from deepcovid.audits.audit import Audit, of_kind
from deepcovid.audits.changed import LIKE_FRAME, LOG_ODDS_DIGITS, OTHER_FRAME, Changed
from deepcovid.audits.collection import Collection
from deepcovid.audits.external import External
from deepcovid.drawing.tables import signed, spread
from deepcovid.drawing.titles import title_of_recipe
from deepcovid.nets.zoo import title_of


def verdict(found: Mapping[str, Audit], model: str) -> Iterator[str]:
    """Yield the sentences on one net that the audits at hand allow; none where the net was in none of them.

    Args:
        found: Results by name, as deepcovid.audits.registry.results_of has them.
        model: The net.
    """
    net = title_of(model)
    tested = [(external, external.told[model]) for external in of_kind(found, External) if model in external.told]
    for external, own in tested[:1]:
        yield (
            f"On test images of its own data set, {net} under the recipe “{title_of_recipe(external.recipe)}” "
            f"reaches an AUC of {spread(own.inside)}."
        )
    learned = {audit.images: audit.nets[model] for audit in of_kind(found, Collection) if model in audit.nets}
    for external, own in tested:
        within = learned[external.images].within if external.images in learned else None
        beside = f", and heads trained there, on other patients, {spread(within)}" if within else ""
        yield f"On {external.images} the same heads reach {spread(own.run.auc)}{beside}."
        yield (
            f"The same heads tell images without COVID-19 of {external.images} from those of their own data set with "
            f"an AUC of {spread(own.collection)}."
        )
    for images, heads in learned.items():
        yield (
            f"Heads that learned images of {images} without COVID-19 in place of those with it find the real ones with "
            f"an AUC of {spread(heads.collection.auc)}."
        )
        others = f", those that learned similar findings {spread(heads.similar.auc)}" if heads.similar else ""
        yield f"Heads that learned COVID-19 without copies reach {heads.covid.auc.value:.3f}{others}."
    for changed in of_kind(found, Changed):
        moved = changed.nets.get(model)
        if moved and moved.parts:
            parts = (moved.parts.disease, moved.parts.collection)
            disease, place = (signed(part, LOG_ODDS_DIGITS) for part in parts)
            yield f"The disease raises {net}'s log-odds of COVID-19 by {disease}, the collection by {place}."
        elif moved and OTHER_FRAME in moved.shifts and LIKE_FRAME in moved.shifts:
            other, like = moved.shifts[OTHER_FRAME], moved.shifts[LIKE_FRAME]
            yield (
                f"{net} finds {other.called_before} of {other.images} COVID-19 images. With their middle pasted into "
                f"images without COVID-19 it finds {other.called}, into those of other COVID-19 patients {like.called}."
            )
