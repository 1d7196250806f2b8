"""How far a data set's scores can be trusted: the audits' main numbers, and what they say in sentences."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from deepcovid.backbones import BACKBONES

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
        leakage: As deepcovid.audit.leakage returns it.
        acquisition: As deepcovid.audit.acquisition returns it.
        baselines: As deepcovid.audit.baselines returns it.
        hidden: As the stage `hidden` writes it.
        external: One per data set of other people's images and net, as the stage `external` writes them.
        share: The hidden square to name, as a share of the image's side.

    Returns:
        leaks: test_images that leak, in whatever way, their share with low and high, pairs by kind.
        without_disease: The highest AUC among what cannot know disease, with its name, low and high; the variables of
            acquisition together count, as do untrained nets. It is the best of several on the same images; the
            interval does not know that.
        nets: By net, the AUC of the recipe's heads, low and high.
        hidden: By net, the AUC with the square hidden, low and high.
        external: By data set and net, AUC, sensitivity and specificity with low and high, and n_test.
    """
    recipe = baselines["recipe"]
    return {
        "leaks": {key: leakage["leaked"][key] for key in ("test_images", "share", "low", "high")}
        | {kind: counts["pairs"] for kind, counts in leakage["counts"].items()},
        "without_disease": max(_without_disease(acquisition, baselines), key=lambda found: found["auc"]),
        "nets": {row["name"]: _area(row) for row in baselines["baselines"] if row["kind"] == "pipeline"},
        "hidden": {
            net["model"]: {"share": share} | _area(square)
            for net in hidden["nets"]
            for square in net["squares"]
            if square["shows"] == "outside" and math.isclose(square["share"], share, abs_tol=1e-6)
        },
        "external": _external(external, recipe),
    }


def _without_disease(acquisition: Numbers, baselines: Numbers) -> Iterator[dict[str, Any]]:
    for row in baselines["baselines"]:
        if row["kind"] != "pipeline":
            yield {"name": row["title"]} | _area(row)
    for row in acquisition["variables"]:
        if "auc" in row:
            yield {"name": row["title"]} | _area(row)
    if "auc" in acquisition["together"]:
        yield {"name": TOGETHER} | _area(acquisition["together"])


def _area(row: Numbers) -> dict[str, float]:
    return {key: row[key] for key in ("auc", "low", "high")}


def _external(external: Iterable[Numbers], recipe: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for test in external:
        run = test["recipes"][recipe]
        numbers = {"auc": run["auc"], **run["auc_ci95"]}
        for rate in ("sensitivity", "specificity"):
            numbers[rate] = {"rate": run[rate], **run[f"{rate}_wilson95"]}
        found.setdefault(test["images"], {})[test["model"]] = numbers | {"n_test": run["n_test"]}
    return found


def sentences(found: Numbers, leakage: Numbers) -> Iterator[str]:
    """Yield what a verdict says, in sentences; `leakage` names what a leak is."""
    yield _leaks(found["leaks"], leakage)
    best = found["without_disease"]
    yield (
        f"Without a trained net an AUC of {_interval(best)} can be had, from: {best['name']}. "
        f"The pipeline's own heads reach {_by_net(found['nets'])}."
    )
    if found["hidden"]:
        share = next(iter(found["hidden"].values()))["share"]
        yield (
            f"With a black square of {100 * share:.0f} % of the side over the lungs, in training and in test, heads "
            f"reach {_by_net(found['hidden'])}."
        )
    for images, by_model in found["external"].items():
        counts = next(iter(by_model.values()))["n_test"]
        rates = "; ".join(
            f"{run['sensitivity']['rate']:.2f} and {run['specificity']['rate']:.2f} with {BACKBONES[model]}"
            for model, run in by_model.items()
        )
        yield (
            f"On the images of {images} ({counts['covid']} COVID, {counts['non']} others, none of them known to be of "
            f"a patient in training), the pipeline's own heads reach {_by_net(by_model)}; sensitivity "
            f"and specificity at their cut-off are {rates}."
        )
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
    elif leaks["near_duplicate"]:
        text += f" (by chance alone {near['false_positives']['expected']:.1f} near-duplicates are to be expected)"
    return f"{text}."


def _by_net(areas: Mapping[str, Numbers]) -> str:
    return "; ".join(f"{_interval(area)} with {BACKBONES[model]}" for model, area in areas.items())


def _interval(area: Numbers) -> str:
    return f"{area['auc']:.3f} ({area['low']:.3f} to {area['high']:.3f})"
