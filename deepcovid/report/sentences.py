"""Sentences that are computed from results. Those of an audit stand with the audit, in deepcovid/audits."""

from collections.abc import Iterator, Sequence

from deepcovid.audits.external import ExternalRun
from deepcovid.drawing.tables import spread
from deepcovid.drawing.titles import title_of_recipe, title_of_rung, title_of_switch, title_of_value
from deepcovid.heatmaps.localisation import CENTRE, GRAD_CAM, OCCLUSION, Located, NetHeat, NotLocated
from deepcovid.heatmaps.sanity import Measure
from deepcovid.ladder.measuring import NetLadder, RungResult
from deepcovid.nets.zoo import title_of
from deepcovid.settings.analyses import Detection
from deepcovid.statistics.estimate import Estimate, PairedTest
from deepcovid.statistics.paired import CLAIMED_UNDER, CLOSE, HIGHEST, NetsCompared, difference_of_auc
from deepcovid.statistics.rates import RunResult


def in_one_sentence(
    failed: RunResult | None,
    best: RunResult | None,
    ladder: NetLadder,
    outside: Sequence[tuple[str, ExternalRun]],
) -> str:
    """Return the answer to the page's question, of what was measured; blank where nothing was.

    Args:
        failed: The failed reproduction.
        best: The paper's recipe.
        ladder: What the ladder measured of the same net.
        outside: The names of test sets, and what the paper's recipe reaches there; the first is told of.
    """
    parts = []
    if failed:
        parts.append(f"the failure returns in {failed.collapsed_heads or 'none'} of {failed.over_seeds.heads} heads")
    if repair := what_repairs(failed, ladder):
        parts.append(f"changing the {repair} repairs it")
    if best:
        reached = f"the paper's recipe reaches an AUC of {best.auc.value:.3f}"
        reached += "".join(f", but {own.run.auc.value:.3f} on {images}" for images, own in outside[:1])
        parts.append(reached)
    text = ", and ".join([", ".join(parts[:-1]), *parts[-1:]]) if len(parts) > 1 else "".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def what_repairs(failed: RunResult | None, ladder: NetLadder) -> str:
    """Return the switches whose change repairs the failure; blank where no head fails, or no set of switches does.

    Of several smallest sets of switches the first two are named.

    Args:
        failed: The failed reproduction.
        ladder: What the ladder measured of the same net.
    """
    if not failed or not failed.collapsed_heads or not ladder.smallest or not ladder.smallest[0]:
        return ""
    return " (or the ".join(_all_of(subset) for subset in ladder.smallest[:2]) + ")" * (len(ladder.smallest) > 1)


def _all_of(switches: Sequence[str]) -> str:
    *others, last = (title_of_switch(switch) for switch in switches)
    return " and ".join([", ".join(others), last] if others else [last])


def detects(result: RunResult, wanted: Detection) -> bool:
    """Return whether the median head of a run detects."""
    return result.sensitivity.value >= wanted.sensitivity and result.specificity.value >= wanted.specificity


def below_the_bar(runs: Sequence[tuple[str, RunResult]], wanted: Detection) -> Iterator[str]:
    """Yield which median heads find some COVID-19 images, yet too few to detect, and what detecting takes.

    Nothing is said of a head that detects, nor of one that calls every image alike, which is told elsewhere.

    Args:
        runs: The recipe's title and the numbers of each run.
        wanted: What a head must reach to detect.
    """
    short = [(title, result) for title, result in runs if not result.collapsed and not detects(result, wanted)]
    for title, result in short:
        cells = result.confusion
        yield (
            f"The median head under “{title}” finds {cells.tp:,} of {cells.tp + cells.fn:,} COVID-19 images and clears "
            f"{cells.tn:,} of {cells.fp + cells.tn:,} others."
        )
    if short:
        yield (
            f"That is not called detecting here: a head must find {100 * wanted.sensitivity:.0f} % and clear "
            f"{100 * wanted.specificity:.0f} %, at least."
        )


def what_detects(wanted: Detection) -> str:
    """Return what a head must reach to detect."""
    return (
        f"A head detects if it finds {100 * wanted.sensitivity:.0f} % of the COVID-19 images, and clears "
        f"{100 * wanted.specificity:.0f} % of the others, at least."
    )


def finding(title: str, ladder: NetLadder) -> Iterator[str]:
    """Yield, for the net called `title`, which switches make its heads detect, and how many heads do what."""
    frozen = ladder.frozen_failure
    if not ladder.detecting:
        yield f"No set of the {len(ladder.switches)} switches makes every head of {title} detect on a frozen net."
    elif not ladder.smallest[0]:
        yield f"Every head of {title} detects on a frozen net as it is: no switch has to be flipped."
    for number, words in enumerate(repairs(ladder)):
        start = f"The smallest repair, after which every head of {title} detects: " if not number else "Or: "
        yield f"{start}{words}."
    for rung in ladder.rungs.values():
        if rung.net == "replayed" and rung.direction != "down" and (rung.direction == "aside" or rung.step == 0):
            yield _rung(title, rung)
    yield (
        f"With {title} as a frozen net, the ladder starts from {frozen.heads} heads, one a seed: "
        f"{_some(frozen.collapsed, frozen.heads)} every image alike and {_few(frozen.detecting)}."
    )
    yield f"Of {ladder.combinations} combinations of the switches, {ladder.detecting} make every head detect."
    for name, counts in ladder.remedies.items():
        enough = "is" if counts.detecting == counts.heads else "is not"
        yield (
            f"The authors' remedy, {_set(name)}, {enough} enough by itself: "
            f"{_some(counts.collapsed, counts.heads, f' of {counts.heads} heads')} every image alike and "
            f"{_few(counts.detecting)}."
        )


def smallest(ladder: NetLadder) -> str:
    """Return the smallest sets of switches that make every head detect, in words."""
    return "; or ".join(repairs(ladder)) or ("none" if ladder.detecting else "no set does")


def repairs(ladder: NetLadder) -> list[str]:
    """Return each of the smallest sets of switches that make every head detect, with the values that they get."""
    climbed = [rung.rung for rung in ladder.rungs.values() if rung.direction == "up" and len(rung.flipped) == 1]
    labels = {label.split(": ")[0]: label for label in (*climbed, *ladder.remedies)}
    return [" and ".join(_set(labels.get(switch, switch)) for switch in subset) for subset in ladder.smallest if subset]


def _set(label: str) -> str:
    """Return a switch and its value, such as `cut_off: 0.5`, as what was done to it."""
    switch, _, value = label.partition(": ")
    done = {"yes": " switched on", "no": " switched off", "": ""}.get(value, f" set to {title_of_value(value)}")
    return title_of_switch(switch) + done


def _rung(title: str, rung: RungResult) -> str:
    runs = rung.heads // rung.seeds
    heads = f"{rung.seeds} seeds in each of {runs} runs" if runs > 1 else "one a seed"
    return (
        f"{title}, {title_of_rung(rung.rung)}, has {rung.heads} heads ({heads}): "
        f"{_some(rung.collapsed_heads, rung.heads)} every image alike and {_few(rung.detecting_heads)}."
    )


def whole_nets(rungs: Sequence[RungResult]) -> Iterator[str]:
    """Yield two paragraphs on how to read the rungs of whole nets; none where no rung is of a whole net.

    The first says how they are drawn and, if they were trained for fewer epochs than frozen nets, for how many. The
    second says what their interval is over: see `deepcovid.statistics.rates.units_of`.
    """
    whole = [rung for rung in rungs if rung.net == "replayed"]
    if not whole:
        return
    text = "A filled dot is of heads on a frozen net, a hollow one of heads on the whole net."
    epochs, longest = (max(rung.epochs for rung in part) for part in (whole, rungs))
    if epochs < longest:
        text += f" On the whole net at most {epochs} epochs were run, on a frozen one up to {longest}."
    yield text
    runs = max(rung.heads // rung.seeds for rung in whole)
    if runs > 1:
        yield (
            f"On the whole net the interval is over {runs} runs: each has its own order of the images and its own "
            "crops. The heads of a run differ in their initial weights; together they count once."
        )
    else:
        yield (
            "On the whole net the interval is over initial weights only: all heads share one order of the images and "
            "the same crops."
        )


def _some(count: int, heads: int, of: str = "") -> str:
    """Return `all call`, `2 call`, `1 calls` or `none calls`, with `of` before the verb."""
    if count == heads:
        return f"all{of} call"
    return f"{count or 'none'}{of} call{'s' * (count <= 1)}"


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
    recipe = f"the recipe “{title_of_recipe(CLAIMED_UNDER)}”"
    if nets.claim is None:
        yield f"The paper's claim that {highest} has the highest AUC, {close} close, has no answer on {dataset}."
        yield f"Run both nets under {recipe} to get one."
        return
    pairs = [pair for pair in nets.pairs.values() if pair.recipe == CLAIMED_UNDER]
    aucs = {pair.first: pair.auc.first for pair in pairs} | {pair.second: pair.auc.second for pair in pairs}
    best = max(aucs, key=lambda net: aucs[net])
    text = f"Under {recipe} on {dataset}, {title_of(best)} has the highest AUC of {len(aucs)} nets ({aucs[best]:.4f})"
    if papers_images:
        text += ", as the paper reports" if best == HIGHEST else f", where the paper reports {highest}"
    yield f"{text}."
    ahead = difference_of_auc(pairs, CLAIMED_UNDER, best, HIGHEST)
    if ahead and best != CLOSE:
        yield f"The AUC of {title_of(best)} less that of {highest} is {_signed(ahead)}."
    claim = nets.claim.difference
    yield f"The AUC of {highest} less that of {close} is {_in_words(nets.claim)}."
    if claim.low <= 0 <= claim.high:
        yield "So these images do not show which of the two heads is better."
    else:
        yield f"So {highest if claim.low > 0 else close} has the better of the two heads on these images."
    if not papers_images:
        yield "Nothing follows for the paper's claim, which is of other images."


def _in_words(test: PairedTest) -> str:
    return _signed(test.difference, f", p = {test.p_value:.2g}")


def _signed(own: Estimate, more: str = "") -> str:
    return f"{own.value:+.4f} (95 % interval {own.low:+.4f} to {own.high:+.4f}{more})"


def heat_sentences(net: NetHeat) -> Iterator[str]:
    """Yield what the measurements of one net's maps say, three sentences for each place."""
    for words, part in places_of(net):
        if isinstance(part, NotLocated):
            continue
        own, centre, grad_cam = (part.methods[name] for name in (OCCLUSION, CENTRE, GRAD_CAM))
        yield (
            f"In the {part.images} COVID images that {title_of(net.model)} detects and where they are marked, {words} "
            f"cover {100 * part.mask_share:.0f} % of the image; the occlusion map is hottest there "
            f"{_percent(own.pointing_game)} of the time."
        )
        yield (
            f"{_percent(own.heat_inside)} of the heat lies there; of a blob in the centre, "
            f"{_percent(centre.heat_inside)}."
        )
        yield (
            f"The chance that a pixel inside is hotter than one outside, the AUC, is {_area(own.auc)}. For the blob "
            f"it is {_area(centre.auc)}, for Grad-CAM {_area(grad_cam.auc)}."
        )


def sanity_sentences(net: NetHeat) -> Iterator[str]:
    """Yield what the maps of one net depend on."""
    if net.sanity is None:
        return
    levels = list(net.sanity.correlation.items())
    for method, words in (OCCLUSION, "The occlusion map"), (GRAD_CAM, "Grad-CAM"):
        first, last = (_correlation(own.get(method)) for _, own in (levels[0], levels[-1]))
        yield (
            f"{words} of {title_of(net.model)} has a rank correlation of {first} with that of a random head "
            f"({net.sanity.images} images). With random weights throughout it is {last}."
        )
    own, centre = (net.sanity.curves[name] for name in (OCCLUSION, CENTRE))
    yield (
        f"While pixels are taken away, the hottest of the occlusion map first, the mean score of {title_of(net.model)} "
        f"is {_area(own.deletion)}. From the centre outwards it is {_area(centre.deletion)}."
    )
    yield (
        f"While pixels are put back in the same orders, the mean scores are {_area(own.insertion)} and "
        f"{_area(centre.insertion)}."
    )


def _correlation(measure: Measure | None) -> str:
    return "an unknown value (a map is flat)" if measure is None else _area(measure)


def places_of(net: NetHeat) -> tuple[tuple[str, Located | NotLocated], ...]:
    """Return each place where the heat may lie, in words, and what was measured there."""
    return ("the lesions", net.lesions), ("the lungs", net.lungs)


def _percent(measure: Measure | None) -> str:
    if measure is None:
        return "an unknown share"
    if isinstance(measure, float):
        return f"{100 * measure:.0f} %"
    return f"{100 * measure.value:.0f} % ({100 * measure.low:.0f} to {100 * measure.high:.0f} %)"


def _area(measure: Measure) -> str:
    return f"{measure:.2f}" if isinstance(measure, float) else spread(measure, 2)
