"""How far a data set's scores can be trusted: the audits' main numbers, and what they say in sentences."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deepcovid.audits.external import ExternalRun
from deepcovid.nets.zoo import title_of
from deepcovid.statistics.estimate import Estimate

KINDS = {
    "same_file": "the same file",
    "same_pixels": "the same pixels",
    "near_duplicate": "nearly the same picture",
    "same_patient": "the same patient",
}
TOGETHER = "how the image was taken, all together"
Numbers = Mapping[str, Any]


def verdict(
    leakage: Numbers,
    acquisition: Numbers,
    baselines: Numbers,
    hidden: Numbers,
    external: Iterable[Numbers],
    share: float,
) -> dict[str, Any]:
    """Return the main numbers of the audits of one data set.

    Args:
        leakage: As deepcovid.audits.leakage returns it.
        acquisition: As deepcovid.audits.acquisition returns it.
        baselines: As deepcovid.audits.baselines returns it.
        hidden: As the stage `hidden` writes it.
        external: One per data set of other people's images and net, as the stage `external` writes them.
        share: The hidden square to name, as a share of the image's side.

    Returns:
        leaks: test_images that leak, in whatever way, their share with low and high, pairs by kind; of near-duplicates
            the sensitivity with low and high, and how many pairs are expected by chance (95 % limit), where known.
        without_disease: The highest AUC among what cannot know disease, with its name, low and high; the variables of
            acquisition together count, as do untrained nets; `known` counts the images of a variable that is not known
            of all. It is the best of several on the same images; the interval does not know that.
        nets: By net, the AUC of the recipe's heads, low and high.
        hidden: By net, the AUC with the square hidden, low and high, and where lesions are known the share of their
            area that stays visible, as lesions_visible.
        external: By data set and net, AUC, sensitivity and specificity with low and high, and n_test; the AUC within
            each view that has enough images, as views.
    """
    recipe = baselines["recipe"]
    return {
        "leaks": {key: leakage["leaked"][key] for key in ("test_images", "share", "low", "high")}
        | {kind: counts["pairs"] for kind, counts in leakage["counts"].items()}
        | _errors(leakage["near_duplicates"]),
        "without_disease": max(_without_disease(acquisition, baselines), key=lambda found: found["auc"]),
        "nets": {row["name"]: _area(row) for row in baselines["baselines"] if row["kind"] == "pipeline"},
        "hidden": {
            net["model"]: {"share": share, **_area(square)}
            | {key: square[key] for key in ("lesions_visible",) if key in square}
            for net in hidden["nets"]
            for square in net["squares"]
            if square["shows"] == "outside" and math.isclose(square["share"], share, abs_tol=1e-6)
        },
        "external": _external(external, recipe),
    }


def _errors(near: Numbers) -> dict[str, Any]:
    if "threshold" not in near:
        return {}
    sensitivity, wrong = near["sensitivity"], near["false_positives"]
    return {"sensitivity": {key: sensitivity[key] for key in ("rate", "low", "high")}} | (
        {"expected_by_chance": {"pairs": wrong["expected"], "high": wrong["expected_high"]}} if "rate" in wrong else {}
    )


def _without_disease(acquisition: Numbers, baselines: Numbers) -> Iterator[dict[str, Any]]:
    for row in baselines["baselines"]:
        if row["kind"] != "pipeline":
            yield {"name": row["title"]} | _area(row)
    for row in acquisition["variables"]:
        if "auc" in row:
            known = {} if row["known"] == acquisition["images"] else {"known": row["known"]}
            yield {"name": row["title"]} | _area(row) | known
    if "auc" in acquisition["together"]:
        yield {"name": TOGETHER} | _area(acquisition["together"])


def _area(row: Numbers) -> dict[str, float]:
    return {key: row[key] for key in ("auc", "low", "high")}


def _external(external: Iterable[Numbers], recipe: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for test in external:
        own = ExternalRun.model_validate(test["recipes"][recipe])
        numbers: dict[str, Any] = _of_estimate(own.run.auc)
        for name, rate in (("sensitivity", own.run.sensitivity), ("specificity", own.run.specificity)):
            numbers[name] = {"rate": rate.value, "low": rate.wilson.low, "high": rate.wilson.high}
        views = {
            view: {**_of_estimate(alone.auc), "n_test": alone.n_test.model_dump()} for view, alone in own.views.items()
        }
        counts = own.run.n_test.model_dump()
        found.setdefault(test["images"], {})[test["model"]] = numbers | {"n_test": counts, "views": views}
    return found


def _of_estimate(area: Estimate) -> dict[str, float]:
    return {"auc": area.value, "low": area.low, "high": area.high}


def sentences(found: Numbers, leakage: Numbers) -> Iterator[str]:
    """Yield what a verdict says, in sentences; `leakage` names what a leak is."""
    yield _leaks(found["leaks"], leakage)
    best = found["without_disease"]
    known = best.get("known")
    part = f" (known of {known['covid']:,} COVID images and {known['non']:,} others)" if known else ""
    yield (
        f"Without a trained net an AUC of {_interval(best)} can be had, from: {best['name']}{part}. "
        f"The pipeline's own heads reach {_by_net(found['nets'])}."
    )
    if found["hidden"]:
        square = next(iter(found["hidden"].values()))
        seen = square.get("lesions_visible")
        beside = "" if seen is None else f", beside which {100 * seen:.1f} % of the lesions' area stays visible"
        yield (
            f"With a black square of {100 * square['share']:.0f} % of the side in the middle{beside}, in training and "
            f"in test, heads reach {_by_net(found['hidden'])}."
        )
    for images, by_model in found["external"].items():
        counts = next(iter(by_model.values()))["n_test"]
        rates = "; ".join(
            f"{_rate(run['sensitivity'])} and {_rate(run['specificity'])} with {title_of(model)}"
            for model, run in by_model.items()
        )
        yield (
            f"On the images of {images} ({counts['covid']} COVID, {counts['non']} others, none of them known to be of "
            f"a patient in training), the pipeline's own heads reach {_by_net(by_model)}; sensitivity "
            f"and specificity at their cut-off are {rates}."
        )
        for view, counts in {
            view: alone["n_test"] for run in by_model.values() for view, alone in run["views"].items()
        }.items():
            within = {model: run["views"][view] for model, run in by_model.items()}
            yield f"Within {view} alone ({counts['covid']} COVID, {counts['non']} others) the AUC is {_by_net(within)}."
    if not found["external"]:
        yield "Not tested on other people's images: none is named in test_sets."


def _leaks(leaks: Numbers, leakage: Numbers) -> str:
    images, near = leakage["images"]["test"], leakage["near_duplicates"]
    share = f"{100 * leaks['share']:.2f} %, {100 * leaks['low']:.2f} to {100 * leaks['high']:.2f} %"
    text = (
        f"{leaks['test_images']:,} of {images:,} test images ({share}) resemble a training image or are known to "
        "share its patient"
    )
    ways = ", ".join(f"{leaks[kind]:,} as {words}" for kind, words in KINDS.items() if leaks[kind])
    if ways:
        text += f"; pairs: {ways}"
    if "skipped" in near:
        text += f"; near-duplicates were not looked for ({near['skipped']})"
    else:
        text += f"; the search for near-duplicates finds {_percent(near['sensitivity'])} of augmented copies"
    if "expected" in near.get("false_positives", {}):
        wrong = near["false_positives"]
        text += f", and {wrong['expected']:.1f} pairs by chance alone (at most {wrong['expected_high']:.0f}, at 95 %)"
    return f"{text}."


def _by_net(areas: Mapping[str, Numbers]) -> str:
    return "; ".join(f"{_interval(area)} with {title_of(model)}" for model, area in areas.items())


def _rate(rate: Numbers) -> str:
    return f"{rate['rate']:.2f} ({rate['low']:.2f} to {rate['high']:.2f})"


def _percent(rate: Numbers) -> str:
    return f"{100 * rate['rate']:.0f} % ({100 * rate['low']:.0f} to {100 * rate['high']:.0f} %)"


def _interval(area: Numbers) -> str:
    return f"{area['auc']:.3f} ({area['low']:.3f} to {area['high']:.3f})"
