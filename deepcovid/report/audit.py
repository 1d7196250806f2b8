"""The section on how far the scores can be trusted. It knows no audit by name: deepcovid/audits/registry.py does."""

from deepcovid.audits import enough, reliability
from deepcovid.audits.registry import curves_of, sentences, ways_of
from deepcovid.drawing.blocks import Block, Section
from deepcovid.report.contents import Contents


def audit(contents: Contents) -> Section:
    """What one needs to know to reach which AUC, what the audits found in sentences, then each audit's own blocks."""
    text = (
        "The COVID-19 images of the paper come from one collection and the others from another. Whatever differs "
        "between two collections tells their images apart: machines, views, sizes, labels in the corners, who was ill. "
        "The audits ask how much of a score can be had from that.",
    )
    found = {name: part.value for name, part in contents.audits.items()}
    steps = tuple(part.step for part in contents.audits.values())
    tried = tuple(part.step for part in contents.audits.values() if any(part.value.ways()))
    blocks = [enough.block(ways_of(found), tried)]
    blocks.append(Block("Computed from the audits.", steps, sentences=tuple(sentences(found))))
    blocks += [block for part in contents.audits.values() for block in part.value.blocks(part.step)]
    own, measured = contents.calibration, [part for part in contents.audits.values() if part.value.calibrations()]
    curves = curves_of(contents.dataset, own.value, found)
    steps = (own.step, *(part.step for part in measured))
    blocks.append(reliability.block(curves, own.value.recipe, steps))
    return Section("audit", "How far can the scores be trusted?", text, tuple(blocks))
