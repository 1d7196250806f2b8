"""The ladder's finding in words, computed from its table."""

from typing import Any


def finding(title: str, part: dict[str, Any]) -> str:
    """Return in words, for the net called `title`, what turns collapse into detection."""
    whole = [rung for rung in part["rungs"] if rung["net"] == "replayed"]
    text = f"{title}: "
    if whole:
        text += f"on the whole net, {_rung(whole[0])}. "
    frozen, wanted = part["frozen_failure"], part["detection"]
    text += (
        "On frozen features, under the settings of the failed reproduction, "
        f"{_some(frozen['collapsed'], frozen['heads'])} call every image alike and {_few(frozen['detecting'])} (right "
        f"on at least {100 * wanted['sensitivity']:.0f} % of COVID and {100 * wanted['specificity']:.0f} % of the "
        "others). "
    )
    tried = f"of the {part['combinations']} combinations of {', '.join(part['switches'])}"
    if not part["detecting"]:
        text += f"No flip turns this into detection in every seed: none {tried} does."
    elif not part["smallest"][0]:
        text += f"Nothing has to be flipped for detection in every seed; {part['detecting']} {tried} reach it."
    else:
        sets = ", or ".join(" with ".join(subset) for subset in part["smallest"])
        many = "set of switches that turns" if len(part["smallest"]) == 1 else "sets of switches that turn"
        text += f"The smallest {many} this into detection in every seed: {sets} ({part['detecting']} {tried} do)."
    for rung in whole:
        if rung["direction"] == "aside":
            text += f" On the whole net, {_rung(rung)} (flipped: {', '.join(rung['flipped'])})."
    return text


def _rung(rung: dict[str, Any]) -> str:
    heads, auc = rung["heads"], rung["auc"]
    collapsed = round(rung["collapsed"]["mean"] * heads)
    return (
        f"under {rung['rung']}, {_some(collapsed, heads)} call every image alike and "
        f"{_few(round(rung['detecting_share'] * heads))}; the mean AUC is {auc['mean']:.3f}"
    )


def _some(count: int, heads: int) -> str:
    return f"{'all' if count == heads else count or 'none'} of {heads} heads"


def _few(count: int) -> str:
    return "none detects" if not count else f"{count} detect{'s' * (count == 1)}"
