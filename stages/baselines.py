"""Find how little of an image is enough: simple figures and nets with random weights, beside the pipeline's nets."""

import pandas as pd

from deepcovid import catalogue
from deepcovid.arrays import batches, load_array
from deepcovid.audits.baselines import FIGURES, Input, baseline, figures, fitted_scores, summary
from deepcovid.files import write_csv, write_json
from deepcovid.heads.head_files import read_head
from deepcovid.heads.scoring import heads_of
from deepcovid.heads.sweep import train_and_score
from deepcovid.nets.zoo import BACKBONES
from deepcovid.settings import Settings
from stages import _run, paths
from stages.runs import read_scores

BATCH = 64  # images read at a time; bounds memory


def baselines(settings: Settings, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    test, recipe = table[catalogue.in_test(table)], settings.audit.recipe
    positive, patient = catalogue.covid(test).to_numpy(), test["patient_id"]

    entries = []
    for name, numbers in figures(batches(paths.data(dataset, "pixels.npy"), BATCH)).items():
        scores = fitted_scores(numbers, table)[:, None]
        given = Input(name, FIGURES[name][0], "hand-made", numbers.shape[1])
        entries.append(baseline(given, positive, scores, patient, settings.evaluate))
    for model in settings.audited_models:
        features = load_array(paths.data(dataset, f"untrained/{model}.npy"))
        (heads,) = train_and_score(features, table, [settings.recipe[recipe]], settings.dataset[dataset].seeds).values()
        given = Input(f"untrained-{model}", f"{BACKBONES[model]}, random weights", "untrained", features.shape[1])
        entries.append(baseline(given, positive, heads.to_numpy(), patient, settings.evaluate))
    weights = weights_of(settings.dataset[dataset].weights.source)
    for model in settings.models:
        run = f"{model}-{recipe}"
        left = read_scores(dataset, run)
        head = read_head(paths.data(dataset, f"heads/{run}.safetensors"))
        given = Input(model, f"{BACKBONES[model]}, {weights}", "pipeline", head.weight.shape[1])
        covid = catalogue.covid(left).to_numpy()
        entries.append(baseline(given, covid, heads_of(left).to_numpy(), left["patient_id"], settings.evaluate))

    found = summary(entries, recipe)
    write_json(paths.metrics(dataset, "audit/baselines"), found)
    rows = pd.DataFrame(found["baselines"]).assign(dataset=dataset)
    columns = ["dataset", "name", "title", "kind", "numbers", "auc", "low", "high"]
    write_csv(paths.plots(dataset, "enough.csv"), rows[columns])


def weights_of(source: str) -> str:
    """Return a data set's weights in a few words."""
    return {"random": "random weights of the pipeline", "imagenet": "ImageNet weights"}.get(source, "weights of a file")


if __name__ == "__main__":
    _run.run(baselines)
