"""Score the test images with a run's heads and measure how well the scores tell COVID-19 from the rest."""

import pandas as pd

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.evaluation import evaluate
from deepcovid.files import write_csv, write_json
from deepcovid.scoring import read_heads, score
from deepcovid.settings import Settings
from stages import _run, paths


def evaluate_stage(settings: Settings, dataset: str, model: str, recipe: str) -> None:
    run = f"{model}-{recipe}"
    table = catalogue.read(paths.data(dataset, "images.csv"))
    test = table["split"] == "test"
    features = load_array(paths.data(dataset, f"features/{model}.npy"))[test.to_numpy()]
    scores = score(features, *read_heads(paths.data(dataset, f"heads/{run}.safetensors")))
    table = table[test]
    positive = (table["label"] == "covid").to_numpy()
    metrics = evaluate(positive, scores, table["patient_id"], settings.recipe[recipe].cut_off, settings.evaluate)
    named = pd.DataFrame(scores, columns=[f"seed_{seed}" for seed in settings.dataset[dataset].seeds])
    facts = pd.DataFrame(
        {"image_id": table["image_id"], "label": table["label"], "group": catalogue.group_of(table)}
    ).reset_index(drop=True)
    write_csv(paths.data(dataset, f"scores/{run}.csv"), facts.join(named), digits=17)
    write_json(paths.metrics(dataset, run), metrics)


if __name__ == "__main__":
    _run.run(evaluate_stage)
