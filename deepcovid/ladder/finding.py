"""The ladder's finding in words, computed from its table."""

from deepcovid.ladder.measuring import NetLadder, RungResult


def finding(title: str, ladder: NetLadder) -> str:
    """Return in words, for the net called `title`, what turns collapse into detection."""
    whole = [rung for rung in ladder.rungs.values() if rung.net == "replayed"]
    text = f"{title}: "
    if whole:
        text += f"on the whole net, {_rung(whole[0])}. "
    frozen, wanted = ladder.frozen_failure, ladder.detection
    text += (
        "On frozen features, under the settings of the failed reproduction, "
        f"{_some(frozen.collapsed, frozen.heads)} call every image alike and {_few(frozen.detecting)} (right "
        f"on at least {100 * wanted.sensitivity:.0f} % of COVID and {100 * wanted.specificity:.0f} % of the "
        "others). "
    )
    tried = f"of the {ladder.combinations} combinations of {', '.join(ladder.switches)}"
    if not ladder.detecting:
        text += f"No flip turns this into detection in every seed: none {tried} does."
    elif not ladder.smallest[0]:
        text += f"Nothing has to be flipped for detection in every seed; {ladder.detecting} {tried} reach it."
    else:
        sets = ", or ".join(" with ".join(subset) for subset in ladder.smallest)
        many = "set of switches that turns" if len(ladder.smallest) == 1 else "sets of switches that turn"
        text += f"The smallest {many} this into detection in every seed: {sets} ({ladder.detecting} {tried} do)."
    for rung in whole:
        if rung.direction == "aside":
            text += f" On the whole net, {_rung(rung)} (flipped: {', '.join(rung.flipped)})."
    return text


def _rung(rung: RungResult) -> str:
    return (
        f"under {rung.rung}, {_some(rung.collapsed_heads, rung.heads)} call every image alike and "
        f"{_few(rung.detecting_heads)}; the mean AUC is {rung.auc.value:.3f}"
    )


def _some(count: int, heads: int) -> str:
    return f"{'all' if count == heads else count or 'none'} of {heads} heads"


def _few(count: int) -> str:
    return "none detects" if not count else f"{count} detect{'s' * (count == 1)}"
