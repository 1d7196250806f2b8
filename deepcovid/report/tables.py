"""The numbers of a report as tables of text."""

from collections.abc import Iterable, Mapping
from typing import Any

from deepcovid.drawing.steps import Sourced
from deepcovid.drawing.tables import Table, bounds, rate, share, signed, spanned, spread
from deepcovid.drawing.titles import title_of_recipe, title_of_rung, title_of_switch
from deepcovid.heatmaps.beside import MapsBeside
from deepcovid.heatmaps.localisation import CENTRE, GRAD_CAM, OCCLUSION, RANDOM, Located
from deepcovid.heatmaps.sanity import Measure, Sanity
from deepcovid.ladder.measuring import NetLadder, RungResult
from deepcovid.nets.zoo import title_of
from deepcovid.report.contents import ShownRun
from deepcovid.report.figures import HEADLINE_TITLES, published_label
from deepcovid.statistics.comparison import Beside, OverHeads
from deepcovid.statistics.paired import Pair, RatePair
from deepcovid.statistics.uncertainty import RunSources, Source, Sources


def ladder(rungs: Iterable[RungResult]) -> Table:
    """Return a row per rung, with its difference from the rung below."""
    rows = [
        (
            rung.direction,
            title_of_rung(rung.rung) + (f" (whole net, {rung.epochs} epochs)" if rung.net == "replayed" else ""),
            spread(rung.auc),
            spread(rung.sensitivity),
            spread(rung.specificity),
            spread(rung.predicted_positive, 1),
            share(rung.collapsed.value),
            signed(rung.below.auc) if rung.below else "",
        )
        for rung in rungs
    ]
    header = ("direction", "rung", "AUC", "sensitivity", "specificity", "called covid", "collapsed heads")
    return Table((*header, "AUC less that of the rung below (beside the ladder: of its foot)"), rows, names=2)


def effects(net: NetLadder) -> Table:
    """Return a row per switch: what flipping it adds, on average over all orders, and at least and at most."""
    rows = [
        (
            title_of_switch(switch),
            *(f"{one.mean:+.3f} ({one.min:+.3f} to {one.max:+.3f})" for one in (own.auc, own.balanced_accuracy)),
        )
        for switch, own in net.effects.items()
    ]
    return Table(("switch", "AUC", "balanced accuracy"), rows)


def runs(all_runs: Iterable[ShownRun]) -> Table:
    """Return a row per run: areas, rates and intervals of the median head, and how many seeds collapsed."""
    rows = []
    for run in all_runs:
        result, over = run.result, run.result.over_seeds
        rows.append(
            (
                run.net,
                run.title,
                f"{run.cut_off:g}",
                spread(result.auc),
                spanned(over.auc),
                rate(result.sensitivity),
                rate(result.specificity),
                f"{result.at_sensitivity_98.specificity:.3f}",
                collapsed(run),
            )
        )
    header = ("net", "recipe", "cut-off", "AUC (95 % interval)", "AUC over seeds", "sensitivity", "specificity")
    return Table((*header, "specificity at sensitivity 98 %", "collapsed heads"), rows, names=2)


def published(numbers: Iterable[Beside]) -> Table:
    """Return published numbers with ours beside them; what a row's source says as the one above is not repeated."""
    rows, above = [], []
    for number in numbers:
        source = [text for text in (number.source, *number.note.split("; ")) if text]
        digits = number.digits
        rows.append(
            (
                published_label(number),
                "\n".join(text for text in source if text not in above) or "as above",
                f"{number.published:.{number.decimals}f}",
                spread(number.ours, digits),
                _range(number.over_heads, digits) if number.over_heads else "",
                f"{number.difference:+.{digits}f}",
                ("yes" if number.inside else "no") if number.same_test_counts else "other test images",
            )
        )
        above = source
    header = ("number", "source", "published", "ours (95 % interval)", "ours over heads", "difference", "inside?")
    return Table(header, rows, names=2)


def _range(over: OverHeads, digits: int) -> str:
    inside = "published inside" if over.inside else "published outside"
    return f"{spanned(over, digits)}\n({inside})"


def nets(pairs: Iterable[Pair]) -> Table:
    """Return a row per recipe and pair of nets: differences of AUC and rates, first - second."""
    rows = [
        (
            f"{title_of(pair.first)} - {title_of(pair.second)}",
            title_of_recipe(pair.recipe),
            f"{pair.auc.first:.3f} - {pair.auc.second:.3f}",
            signed(pair.auc.difference),
            *(_rates(own) for own in (pair.sensitivity, pair.specificity)),
        )
        for pair in pairs
    ]
    header = ("nets", "recipe", "AUCs", "AUC: difference", "sensitivity: difference", "specificity: difference")
    return Table(header, rows, names=2)


def _rates(pair: RatePair) -> str:
    return f"{pair.difference:+.3f} ({bounds(pair.patients)})"


def uncertainty(runs: Iterable[tuple[str, RunSources]]) -> Table:
    """Return a row per run and headline: the value, and its interval over patients, splits, seeds and runs."""
    rows = []
    for run, sources in runs:
        for name, title in HEADLINE_TITLES.items():
            own: Sources = getattr(sources, name)
            cells = (_source(part) for part in (own.patients, own.splits, own.seeds, own.runs))
            rows.append((run, title.replace("\n", " "), f"{own.value:.3f}", *cells))
    return Table(("run", "number", "value", "over patients", "over splits", "over seeds", "over runs"), rows, names=2)


def _source(source: Source | None) -> str:
    return f"{source.low:.3f} to {source.high:.3f} (s.d. {source.deviation:.4f})" if source else ""


METHODS = {OCCLUSION: "sliding window", GRAD_CAM: "Grad-CAM", CENTRE: "centre", RANDOM: "random"}


def located(part: Located) -> Table:
    """Return a row per kind of heat map: how well it finds what the masks show, and how much better than the centre."""
    rows = [
        (
            METHODS[method],
            *(_measured(measure) for measure in (own.pointing_game, own.heat_inside, own.auc)),
            _measured(own.minus_centre.auc, "+") if own.minus_centre else "",
        )
        for method, own in part.methods.items()
    ]
    counts = f"{part.images} images of {part.patients} patients"
    header = (counts, "pointing game", "share of the heat", "AUC over pixels", "AUC less the centre's")
    return Table(header, rows)


def sanity(found: Sanity) -> Table:
    """Return a row per part that has random weights, then the mean scores of deletion and insertion, a column a map."""
    names = {name: METHODS[name] for name in found.curves}
    rows = [
        (f"random weights: {what}", *(_measured(own.get(method)) for method in names))
        for what, own in found.correlation.items()
    ]
    rows += [
        (measure, *(_measured(getattr(found.curves[method], measure)) for method in names))
        for measure in ("deletion", "insertion")
    ]
    return Table((f"{found.images} images of {found.patients} patients", *names.values()), rows)


def maps_beside(found: MapsBeside) -> Table:
    """Return a row per group of images: how its maps look."""
    titles = found.titles()
    rows = [
        (
            titles[name],
            f"{own.images} of {own.patients}",
            f"{own.called}",
            *(_measured(part[method]) for part in (own.alike, own.middle) for method in (OCCLUSION, GRAD_CAM)),
        )
        for name, own in found.groups.items()
    ]
    measures = [
        f"{what}, {METHODS[method]}"
        for what in ("correlation", "heat in the middle")
        for method in (OCCLUSION, GRAD_CAM)
    ]
    return Table(("images", "images of patients", "called COVID", *measures), rows)


def _measured(measure: Measure | None, sign: str = "") -> str:
    if measure is None:
        return ""
    if isinstance(measure, float):
        return f"{measure:{sign}.2f}"
    return f"{measure.value:{sign}.2f} ({measure.low:{sign}.2f} to {measure.high:{sign}.2f})"


def recipes(settings: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row per setting, a column per recipe."""
    flattened = {name: flat(values) for name, values in settings.items()}
    keys = list(dict.fromkeys(key for values in flattened.values() for key in values))
    rows = [(key, *(values.get(key, "") for values in flattened.values())) for key in keys]
    rows.insert(0, ("name in params.yaml", *flattened))
    return Table(("setting", *(title_of_recipe(name) for name in flattened)), rows, names=1 + len(flattened))


def parameters(settings: Mapping[str, Any]) -> Table:
    """Return a row per setting, by its path."""
    return Table(("parameter", "value"), list(flat(settings).items()), names=2)


def flat(values: Mapping[str, Any], path: str = "") -> dict[str, str]:
    """Return nested settings as text by dotted path."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}{key}.")
        elif isinstance(value, list | tuple):
            found[f"{path}{key}"] = ", ".join(str(part) for part in value)
        else:
            found[f"{path}{key}"] = {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}"
    return found


def files(provenance: Mapping[str, Sourced[Any]]) -> Table:
    """Return a row per file that data or weights came from; generated ones say how."""
    rows = []
    for name, recorded in provenance.items():
        record = recorded.value
        if name == "data":
            rows += [_file("images", entry) for entry in record["files"]]
        elif "model" in record:
            rows.append(_file(f"weights of {title_of(record['model'])}", record))
    return Table(("what", "file", "origin, official source", "edition", "bytes"), rows, names=4, breakable=True)


def _file(what: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    edition = record.get("edition", "")
    if record["origin"] == "random":
        edition = f"random, seed {record['seed']}, calibrated on {record['calibration_images']} training images"
    size = f"{record['bytes']:,}" if "bytes" in record else ""
    name = f"{record['name']}\nSHA-256 {record['sha256']}" if "sha256" in record else ""
    origin = "\n".join(text for text in (record["origin"], record.get("url", "")) if text)
    return what, name, origin, edition, size


def collapsed(run: ShownRun) -> str:
    """Return how many of a run's heads call every test image alike."""
    return f"{run.result.collapsed_heads} of {run.result.over_seeds.heads}"
