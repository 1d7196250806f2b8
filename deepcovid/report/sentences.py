"""Sentences that are computed from results. Those of an audit stand with the audit, in deepcovid/audits."""

from collections.abc import Iterator

from deepcovid.drawing.tables import spread
from deepcovid.heatmaps.localisation import CENTRE, GRAD_CAM, OCCLUSION, Located, Measure, NetHeat, NotLocated
from deepcovid.ladder.measuring import NetLadder, RungResult
from deepcovid.nets.zoo import title_of
from deepcovid.statistics.estimate import Estimate, PairedTest
from deepcovid.statistics.paired import CLAIMED_UNDER, CLOSE, HIGHEST, NetsCompared, difference_of_auc


def finding(title: str, ladder: NetLadder) -> Iterator[str]:
    """Yield in sentences, for the net called `title`, what turns collapse into detection."""
    whole = [rung for rung in ladder.rungs.values() if rung.net == "replayed"]
    if whole:
        yield f"{title} on the whole net: {_rung(whole[0])}."
    frozen, wanted = ladder.frozen_failure, ladder.detection
    yield (
        f"{title} on frozen features, under the settings of the failed reproduction: "
        f"{_some(frozen.collapsed, frozen.heads)} call every image alike and {_few(frozen.detecting)} (right "
        f"on at least {100 * wanted.sensitivity:.0f} % of COVID and {100 * wanted.specificity:.0f} % of the "
        "others)."
    )
    tried = f"of the {ladder.combinations} combinations of {', '.join(ladder.switches)}"
    if not ladder.detecting:
        yield f"No flip turns this into detection in every seed: none {tried} does."
    elif not ladder.smallest[0]:
        yield f"Nothing has to be flipped for detection in every seed; {ladder.detecting} {tried} reach it."
    else:
        many = "set of switches that turns" if len(ladder.smallest) == 1 else "sets of switches that turn"
        yield (
            f"The smallest {many} this into detection in every seed: {smallest(ladder)} ({ladder.detecting} "
            f"{tried} do)."
        )
    for name, counts in ladder.remedies.items():
        turns = "turns" if counts.detecting == counts.heads else "does not turn"
        yield (
            f"The remedy {name} alone {turns} the failure into detection: {_some(counts.collapsed, counts.heads)} call "
            f"every image alike and {_few(counts.detecting)}."
        )
    for rung in whole:
        if rung.direction == "aside":
            yield f"On the whole net, {_rung(rung)} (flipped: {', '.join(rung.flipped)})."


def smallest(ladder: NetLadder) -> str:
    """Return the smallest sets of switches that make every head detect, in words."""
    return ", or ".join(" with ".join(subset) or "none" for subset in ladder.smallest) or "no set does"


def _rung(rung: RungResult) -> str:
    return (
        f"under {rung.rung}, {_some(rung.collapsed_heads, rung.heads)} call every image alike and "
        f"{_few(rung.detecting_heads)}; the mean AUC is {rung.auc.value:.3f}"
    )


def _some(count: int, heads: int) -> str:
    return f"{'all' if count == heads else count or 'none'} of {heads} heads"


def _few(count: int) -> str:
    return "none detects" if not count else f"{count} detect{'s' * (count == 1)}"


def claim_sentences(nets: NetsCompared, dataset: str, papers_images: bool) -> Iterator[str]:
    """Yield what answers the paper's claim: SqueezeNet has the highest AUC, ResNet18 close.

    Args:
        nets: What `between_nets` returned.
        dataset: Its name.
        papers_images: Whether the data set is the paper's; on any other, nothing follows for the claim.
    """
    highest, close = title_of(HIGHEST), title_of(CLOSE)
    if nets.claim is None:
        yield (
            f"The paper's claim that {highest} has the highest AUC, {close} close, has no answer on {dataset}: run "
            f"both nets under the recipe {CLAIMED_UNDER}."
        )
        return
    pairs = [pair for pair in nets.pairs.values() if pair.recipe == CLAIMED_UNDER]
    aucs = {pair.first: pair.auc.first for pair in pairs} | {pair.second: pair.auc.second for pair in pairs}
    best = max(aucs, key=lambda net: aucs[net])
    text = f"Under the recipe {CLAIMED_UNDER} on {dataset}, {title_of(best)} has the highest AUC of {len(aucs)} nets "
    text += f"({aucs[best]:.4f})"
    if papers_images:
        text += ", as the paper reports" if best == HIGHEST else f", where the paper reports {highest}"
    ahead = difference_of_auc(pairs, CLAIMED_UNDER, best, HIGHEST)
    if ahead and best != CLOSE:
        text += f"; its AUC less that of {highest} is {_signed(ahead)}"
    yield f"{text}."
    claim = nets.claim.difference
    text = f"The AUC of {highest} less that of {close} is {_in_words(nets.claim)}, "
    if claim.low <= 0 <= claim.high:
        text += "so these images do not show which of the two heads is better"
    else:
        text += f"so {highest if claim.low > 0 else close} has the better of the two heads on these images"
    yield f"{text}." if papers_images else f"{text}; nothing follows for the paper's claim, which is of other images."


def _in_words(test: PairedTest) -> str:
    return _signed(test.difference, f", p = {test.p_value:.2g}")


def _signed(own: Estimate, more: str = "") -> str:
    return f"{own.value:+.4f} (95 % interval {own.low:+.4f} to {own.high:+.4f}{more})"


def heat_sentences(net: NetHeat) -> Iterator[str]:
    """Yield what the measurements of one net's maps say, two sentences for each place."""
    for words, part in places_of(net):
        if isinstance(part, NotLocated):
            continue
        own, centre, grad_cam = (part.methods[name] for name in (OCCLUSION, CENTRE, GRAD_CAM))
        yield (
            f"In {part.images} COVID images that {title_of(net.model)} detects, the hottest place of the "
            f"occlusion map lies in {words} ({100 * part.mask_share:.0f} % of the image) {_percent(own.pointing_game)} "
            "of the time."
        )
        yield (
            f"{_percent(own.heat_inside)} of the heat lies inside, of a blob in the centre "
            f"{_percent(centre.heat_inside)}; the AUC of the map is {_area(own.auc)}, of the blob "
            f"{_area(centre.auc)}, of Grad-CAM {_area(grad_cam.auc)}."
        )


def sanity_sentences(net: NetHeat) -> Iterator[str]:
    """Yield what the maps of one net depend on."""
    if net.sanity is None:
        return
    levels = list(net.sanity.correlation.items())
    for method, words in (OCCLUSION, "The occlusion map"), (GRAD_CAM, "Grad-CAM"):
        first, last = (_correlation(own.get(method)) for _, own in (levels[0], levels[-1]))
        yield (
            f"{words} of {title_of(net.model)} has a rank correlation of {first} with the one of a random head, and of "
            f"{last} with the one of random weights throughout ({net.sanity.images} images)."
        )
    own, centre = (net.sanity.curves[name] for name in (OCCLUSION, CENTRE))
    yield (
        f"While pixels are taken away, the hottest of the occlusion map first, the score of {title_of(net.model)} is "
        f"{_area(own.deletion)} on average, and {_area(centre.deletion)} from the centre outwards; while they are put "
        f"back, {_area(own.insertion)} and {_area(centre.insertion)}."
    )


def _correlation(measure: Measure | None) -> str:
    return "an unknown value (a map is flat)" if measure is None else _area(measure)


def places_of(net: NetHeat) -> tuple[tuple[str, Located | NotLocated], ...]:
    """Return each place where the heat may lie, in words, and what was measured there."""
    return ("the lesion", net.lesions), ("the lungs", net.lungs)


def _percent(measure: Measure | None) -> str:
    if measure is None:
        return "an unknown share"
    if isinstance(measure, float):
        return f"{100 * measure:.0f} %"
    return f"{100 * measure.value:.0f} % ({100 * measure.low:.0f} to {100 * measure.high:.0f} %)"


def _area(measure: Measure) -> str:
    return f"{measure:.2f}" if isinstance(measure, float) else spread(measure, 2)
