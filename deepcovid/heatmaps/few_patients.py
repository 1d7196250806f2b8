"""Too few patients for an interval: then only the value is given, and it is said why."""

from deepcovid.heatmaps.localisation import Located, Measure, Measures, Method
from deepcovid.heatmaps.sanity import FEWEST
from deepcovid.statistics.estimate import Estimate


def without_intervals_of_few(found: Located) -> Located:
    """Return what was measured, without its intervals where there are fewer than FEWEST patients."""
    if found.patients >= FEWEST:
        return found
    return found.model_copy(
        update={
            "methods": {name: _bare(own) for name, own in found.methods.items()},
            "skipped": f"fewer than {FEWEST} patients, so there are no intervals",
        }
    )


def _bare(own: Method) -> Method:
    less = own.minus_centre
    return own.model_copy(update=_values(own) | {"minus_centre": less and less.model_copy(update=_values(less))})


def _values(own: Measures) -> dict[str, Measure | None]:
    parts = {name: getattr(own, name) for name in Measures.model_fields}
    return {name: part.value if isinstance(part, Estimate) else part for name, part in parts.items()}
