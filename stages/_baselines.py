"""Measure how well the classes can be told apart without a trained net.

Three kinds of input are compared with our nets: how an image was taken, a few simple numbers from its pixels, and the
features of nets with random weights.
"""

from deepcovid import catalogue
from deepcovid.arrays import batches
from deepcovid.audits.acquisition import confounding, measurements
from deepcovid.audits.baselines import (
    FIGURES,
    Baseline,
    Baselines,
    Input,
    above,
    baseline,
    best_of,
    figures,
    fitted_scores,
    weights_of,
)
from deepcovid.audits.headers import common_short_side, headers
from deepcovid.heads.scoring import median_head
from deepcovid.heads.sweep import train_and_score
from deepcovid.images.decoding import framed
from deepcovid.images.resizing import resize_and_crop, saved_alike
from deepcovid.nets.zoo import title_of
from deepcovid.parameters import Parameters
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.runs import Run
from stages import _audit, paths
from stages._features import read_features
from stages._pixels import read_pixels
from stages.runs import read_score_table

BATCH = 64  # images read at a time; bounds memory


def baselines(parameters: Parameters, dataset: str) -> None:
    table, raw = catalogue.read(paths.data(dataset, "images.csv")), paths.data(dataset, "raw")
    pixels = paths.data(dataset, "pixels.npy")
    read_pixels(dataset, parameters.image_size, len(table))  # raises an error if they are other images
    recipe, folder = parameters.audit.recipe, paths.handed_on(dataset, "audited")
    scored = {net: read_score_table(folder / f"{net}-{recipe}.csv", dataset, table) for net in parameters.models}
    written = headers(table, raw)
    measured, originals = measurements(table, written, batches(pixels, BATCH)), catalogue.originals(table)
    taken, scores = confounding(table[originals], measured[originals], parameters.evaluate)
    test = table[catalogue.in_test(table)]
    bootstrap = Bootstrap.of(test, parameters.evaluate)

    found: dict[str, Baseline] = {}
    short_side = common_short_side(written[originals], catalogue.covid(table)[originals])
    alike = framed(table[originals], raw, saved_alike(short_side, resize_and_crop(parameters.image_size)), BATCH)
    for ending, title, rows, images in (
        ("", "", table, batches(pixels, BATCH)),
        ("-alike", ", images saved alike", table[originals], alike),
    ):
        for name, numbers in figures(images).items():
            given = Input(FIGURES[name][0] + title, "hand-made", numbers.shape[1])
            scores[given.title] = fitted_scores(numbers, rows)
            found[name + ending] = baseline(given, scores[given.title][:, None], bootstrap)
    untrained = parameters.audited_models if parameters.weights.source != "random" else []
    for model in untrained:
        features = read_features(dataset, model, len(table), "untrained")
        (trained,) = train_and_score(features, table, [parameters.trained[recipe]], parameters.seeds).values()
        heads = trained.to_numpy()
        given = Input(f"{title_of(model)}, random weights", "untrained", features.shape[1])
        scores[given.title] = heads[:, median_head(heads, bootstrap.positive)]
        found[f"untrained-{model}"] = baseline(given, heads, bootstrap)
    best, drawn = best_of(scores, bootstrap)
    for model in parameters.models:
        run = Run(model, recipe, parameters.trained[recipe].cut_off, scored[model]).in_the_order_of(test["image_id"])
        features = read_features(dataset, model, len(table))
        named = weights_of(parameters.weights.source, model)
        given = Input(f"{title_of(model)}, {named}", "pipeline", features.shape[1])
        own = baseline(given, run.heads.to_numpy(), bootstrap)
        difference = above(own.auc.value, run.score, best.auc.value, drawn, bootstrap)
        found[model] = own.model_copy(update={"above_best": difference})
    _audit.write(taken, dataset, "acquisition")
    _audit.write(Baselines(recipe=recipe, baselines=found, best=best, short_side=short_side), dataset, "baselines")
