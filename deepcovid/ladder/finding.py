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
        f"On frozen features, {_some(frozen['collapsed'], frozen['heads'])} call every image alike under the same "
        f"settings and {_few(frozen['detecting'])}, that is, find at least {wanted['sensitivity']:.0%} of COVID and "
        f"clear at least {wanted['specificity']:.0%} of the others. "
    ).replace("%", " %")
    tried = f"of the {part['combinations']} combinations of {', '.join(part['switches'])}"
    if not part["detecting"]:
        text += f"None {tried} detects in every seed."
    elif not part["smallest"][0]:
        text += f"Nothing has to be flipped; {part['detecting']} {tried} detect in every seed."
    else:
        sets = " or ".join(" with ".join(subset) for subset in part["smallest"])
        smallest = "set of switches that does is" if len(part["smallest"]) == 1 else "sets of switches that do are"
        text += f"{part['detecting']} {tried} detect in every seed; the smallest {smallest} {sets}."
    for rung in whole:
        if rung["direction"] == "aside":
            text += f" On the whole net, {_rung(rung)} (other than the first in {', '.join(rung['flipped'])})."
    return text


def _rung(rung: dict[str, Any]) -> str:
    heads, auc = rung["heads"], rung["auc"]
    collapsed = round(rung["collapsed"]["mean"] * heads)
    return (
        f"{_some(collapsed, heads)} call every image alike under {rung['rung']} and "
        f"{_few(round(rung['detecting_share'] * heads))}, with a mean AUC of {auc['mean']:.3f}"
    )


def _some(count: int, heads: int) -> str:
    return f"{'all' if count == heads else count or 'none'} of {heads} heads"


def _few(count: int) -> str:
    return "none detects" if not count else f"{count} detect{'s' * (count == 1)}"
