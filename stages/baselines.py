"""Find how little of an image is enough: simple figures and nets with random weights, beside the pipeline's nets."""

from deepcovid import catalogue
from deepcovid.arrays import batches, load_array
from deepcovid.audits.baselines import FIGURES, Baselines, Input, baseline, figures, fitted_scores
from deepcovid.heads.sweep import train_and_score
from deepcovid.nets.zoo import title_of
from deepcovid.parameters import Parameters
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.runs import Run
from stages import _audit, _run, paths
from stages.runs import read_score_table

BATCH = 64  # images read at a time; bounds memory


def baselines(parameters: Parameters, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    test, recipe = table[catalogue.in_test(table)], parameters.audit.recipe
    bootstrap = Bootstrap.of(test, parameters.evaluate)

    found = {}
    for name, numbers in figures(batches(paths.data(dataset, "pixels.npy"), BATCH)).items():
        scores = fitted_scores(numbers, table)[:, None]
        given = Input(FIGURES[name][0], "hand-made", numbers.shape[1])
        found[name] = baseline(given, scores, bootstrap)
    untrained = parameters.audited_models if parameters.weights.source != "random" else []
    for model in untrained:
        features = load_array(paths.features(dataset, model, "untrained"))
        (heads,) = train_and_score(features, table, [parameters.trained[recipe]], parameters.seeds).values()
        given = Input(f"{title_of(model)}, random weights", "untrained", features.shape[1])
        found[f"untrained-{model}"] = baseline(given, heads.to_numpy(), bootstrap)
    weights = weights_of(parameters.weights.source)
    for model in parameters.models:
        scored = read_score_table(paths.handed_on(dataset, "audited") / f"{model}-{recipe}.csv")
        run = Run(model, recipe, parameters.trained[recipe].cut_off, scored).in_the_order_of(test["image_id"])
        features = load_array(paths.features(dataset, model))
        given = Input(f"{title_of(model)}, {weights}", "pipeline", features.shape[1])
        found[model] = baseline(given, run.heads.to_numpy(), bootstrap)
    _audit.write(Baselines(recipe=recipe, baselines=found), dataset, "baselines")


def weights_of(source: str) -> str:
    """Return a data set's weights in a few words."""
    return {"random": "random weights of the pipeline", "imagenet": "ImageNet weights"}.get(source, "weights of a file")


if __name__ == "__main__":
    _run.run(baselines)
