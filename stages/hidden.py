"""Train and test heads on images with their middle hidden, and on nothing but their middle."""

import pandas as pd

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.audit.hidden import WHOLE, swept
from deepcovid.audit.hiding import squares
from deepcovid.errors import UserError
from deepcovid.files import write_csv, write_json
from deepcovid.settings import Settings
from stages import _run, paths


def hidden(settings: Settings, dataset: str) -> None:
    options, recipe = settings.dataset[dataset], settings.recipe[settings.audit.recipe]
    table = catalogue.read(paths.data(dataset, "images.csv"))
    sweep = squares(options.hiding)
    nets, rows = [], []
    for model in settings.audited_models:
        path = paths.data(dataset, f"hidden/{model}.npy")
        passes, whole = load_array(path), load_array(paths.data(dataset, f"features/{model}.npy"))
        # The array does not name its squares: of another list it would be cut in the wrong places.
        if len(whole) != len(table) or passes.shape != (len(sweep) * len(table), whole.shape[1]):
            raise UserError(
                f"{path}: {len(passes)} rows, which are not {len(sweep)} squares (dataset.{dataset}.hiding) of each of "
                f"{len(table)} images, or not of this net; run `dvc repro`, or the stages features and hide"
            )
        features = {WHOLE: whole} | dict(zip(sweep, passes.reshape(len(sweep), len(table), -1), strict=True))
        found = swept(features, table, recipe, options.seeds, settings.evaluate)
        nets.append({"model": model, "squares": found})
        keys = ("share", "shows", "auc", "low", "high")
        rows += [{"dataset": dataset, "model": model} | {key: part[key] for key in keys} for part in found]
    write_json(paths.metrics(dataset, "audit/hidden"), {"recipe": settings.audit.recipe, "nets": nets})
    write_csv(paths.plots(dataset, "hidden.csv"), pd.DataFrame(rows))


if __name__ == "__main__":
    _run.run(hidden)
