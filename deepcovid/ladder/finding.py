"""The ladder's finding in words, computed from its table."""

from typing import Any


def finding(title: str, part: dict[str, Any]) -> str:
    """Return in words, for the net called `title`, what turns collapse into detection."""
    start = part["rungs"][0]
    text = (
        f"{title}: at the foot of the ladder ({start['rung']}, {_net(start)}) {start['collapsed']['mean']:.0%} of "
        f"{start['heads']} heads call every image alike, {start['detecting']:.0%} detect, and the mean AUC is "
        f"{start['auc']['mean']:.3f}. "
    )
    switches = ", ".join(part["switches"])
    tried = f"Of the {part['combinations']} combinations of {switches} on frozen features, "
    tried += f"{part['detecting']} detect in every seed"
    if not part["detecting"]:
        text += f"{tried}."
    elif not part["smallest"][0]:
        text += f"{tried}, and so do the settings of the failed reproduction, with nothing flipped."
    else:
        sets = " or ".join(" with ".join(subset) for subset in part["smallest"])
        smallest = "set that turns" if len(part["smallest"]) == 1 else "sets that turn"
        text += f"{tried}; the smallest {smallest} collapse into detection: {sets}."
    for rung in part["rungs"]:
        if rung["direction"] == "aside" and rung["net"] == "replayed":
            text += (
                f" On the whole net, {rung['rung']} (other in {', '.join(rung['flipped'])}) detects in "
                f"{rung['detecting']:.0%} of {rung['heads']} heads, mean AUC {rung['auc']['mean']:.3f}."
            )
    return text


def _net(rung: dict[str, Any]) -> str:
    return "whole net" if rung["net"] == "replayed" else "frozen features"
