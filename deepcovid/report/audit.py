"""The section on how far the scores can be trusted."""

from collections.abc import Iterator, Mapping
from typing import Any

from deepcovid.audits.external import ExternalRun
from deepcovid.audits.verdict import KINDS, TOGETHER, sentences
from deepcovid.drawing.blocks import NOT_RUN, Block, Section, drawn
from deepcovid.drawing.steps import Sourced
from deepcovid.nets.zoo import title_of
from deepcovid.report import audit_figures, tables
from deepcovid.report.contents import Contents
from deepcovid.statistics.calibration import Calibrations

TITLE = "How far can the scores be trusted?"
EXTERNAL = "external-"


def audit(contents: Contents) -> Section:
    """What one needs to know to reach which AUC, what is left without the lungs, what leaks, other people's images."""
    found = contents.audits
    if not found:
        return Section("audit", TITLE, notes=(NOT_RUN.format("audits"),))
    text = (
        "The COVID-19 images of the paper come from one collection and the others from another. Whatever differs "
        "between two collections tells their images apart: machines, views, sizes, labels in the corners, who was ill. "
        "The audits ask how much of a score can be had from that.",
    )
    external = {name: part for name, part in found.items() if name.startswith(EXTERNAL)}
    blocks = [_enough(found), _said(found), _hidden(found["hidden"]), _leaks(found["leakage"])]
    blocks += [_acquisition(found["acquisition"]), *_external(contents, found["calibration"], external)]
    return Section("audit", TITLE, text, tuple(blocks))


def _enough(found: Mapping[str, Sourced[Any]]) -> Block:
    rows = enough_rows(found["baselines"].value, found["acquisition"].value)
    caption = (
        "What one needs to know to reach which AUC. Acquisition: predicted in cross-validation by patient over the "
        "images of train and test; all else: fitted on the training images, tested on the test images. Bars are 95 % "
        "intervals, a bootstrap over patients; nets show the first seed's head."
    )
    alt = "What is enough for which AUC. " + "; ".join(f"{row['title']}: {row['auc']:.3f}" for row in rows)
    steps = (found["baselines"].step, found["acquisition"].step)
    return drawn(audit_figures.enough(rows), "audit-enough", alt, caption, steps, tables.enough(rows))


def enough_rows(baselines: Mapping[str, Any], acquisition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all that was tried, each with title, kind, auc, low, high, highest first."""
    rows = [dict(row) for row in baselines["baselines"]]
    rows += [dict(row, kind="acquisition") for row in acquisition["variables"] if "auc" in row]
    if "auc" in acquisition["together"]:
        rows.append({"title": TOGETHER, "kind": "acquisition", **acquisition["together"]})
    return sorted(rows, key=lambda row: -row["auc"])


def _said(found: Mapping[str, Sourced[Any]]) -> Block:
    said = " ".join(sentences(found["audit"].value, found["leakage"].value))
    return Block("Computed from the audits.", (found["audit"].step,), sentences=(said,))


def _hidden(part: Sourced[Any]) -> Block:
    nets = part.value["nets"]
    caption = (
        f"The middle hidden: heads under the recipe {part.value['recipe']}, trained and tested on images with a black "
        "square in the middle (left), and on images that are black but for that square (right). Bands are 95 % "
        "intervals, a bootstrap over patients. Small pictures show what is left of an image. The middle is not the "
        "lungs: beside a square disease may stay visible."
    )
    alt = "AUC by hidden square. " + "; ".join(
        f"{title_of(net['model'])}, {square['share']:g} {square['shows']} shown: {square['auc']:.3f}"
        for net in nets
        for square in net["squares"]
    )
    return drawn(audit_figures.hidden(nets), "audit-hidden", alt, caption, (part.step,), tables.hidden(nets))


def _leaks(part: Sourced[Any]) -> Block:
    value = part.value
    near = value["near_duplicates"]
    caption = f"What leaks from training into the test: pairs of images by kind. {near_duplicates_in_words(near)}"
    listed = tables.pairs(value["pairs"])
    return Block(
        caption, (part.step,), table=tables.leaks(value["counts"], KINDS), folded=listed, folded_title="By name"
    )


def near_duplicates_in_words(near: Mapping[str, Any]) -> str:
    """Return how near-duplicates were found and how well that works."""
    if "threshold" not in near:
        return f"Near-duplicates were not looked for: {near['skipped']}."
    found, wrong = near["sensitivity"], near["false_positives"]
    text = (
        f"Near-duplicates: at least {near['threshold']} {near['by']}; {100 * found['rate']:.0f} % "
        f"({100 * found['low']:.0f} to {100 * found['high']:.0f} %) of {found['copies']} augmented copies reach that "
        "with their originals, by which it was set"
    )
    if "skipped" in wrong:
        return f"{text}; how often others do is not known: {wrong['skipped']}."
    return (
        f"{text}, and {wrong['found']} of {wrong['pairs']:,} pairs of different patients in training (at most "
        f"{wrong['high']:.1e}, at 95 %: {wrong['expected']:.1f} false alarms are to be expected, at most "
        f"{wrong['expected_high']:.0f})."
    )


def _acquisition(part: Sourced[Any]) -> Block:
    caption = (
        "How well the label is predicted from how an image was taken and of whom, by a simple model, cross-validated "
        "by patient; each variable on the images where it is known. A view is AP lying or not: not every source says. "
        "A size is that of the original, not of a reduced edition. Format, channels and bits are those of the files at "
        "hand, which in an edition that was saved anew are not the originals'."
    )
    return Block(caption, (part.step,), table=tables.acquisition(part.value["variables"]))


def _external(contents: Contents, calibration: Sourced[Any], external: Mapping[str, Sourced[Any]]) -> Iterator[Block]:
    recipe = contents.audits["baselines"].value["recipe"]
    own = Calibrations.model_validate(calibration.value).nets
    curves = {contents.dataset: {model: [*part.bins.values()] for model, part in own.items()}}
    for part in external.values():
        run = ExternalRun.model_validate(part.value["recipes"][recipe])
        curves.setdefault(part.value["images"], {})[part.value["model"]] = [*run.calibration.bins.values()]
    steps = (calibration.step, *(part.step for part in external.values()))
    caption = (
        f"Reliability under the recipe {recipe}: how often images with a score are COVID. On the dashed line a score "
        "is the share that it claims. Bars are Wilson's 95 % intervals."
    )
    alt = "Reliability curves of " + ", ".join(curves)
    rows = tables.calibration(own, contents.dataset)
    yield drawn(audit_figures.reliability(curves), "audit-reliability", alt, caption, steps, rows)
    if external:
        caption = (
            "The heads on the test sets. Left out are images of patients, and images, that they were trained on; not "
            "those on which a recipe with the selection best-accuracy chose its epoch. Rates are at the recipe's own "
            "cut-off. Within a view: the AUC of its images alone, AP Supine counted as AP, where there are ten of "
            "each class."
        )
        yield Block(caption, steps[1:], table=tables.external([part.value for part in external.values()]))
