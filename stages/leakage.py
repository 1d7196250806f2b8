"""Look for test images that are in training too: as the same file, the same pixels, nearly, or of the same patient."""

from deepcovid import catalogue
from deepcovid.arrays import batches, load_array
from deepcovid.audits.leakage import leakage
from deepcovid.files import write_json
from deepcovid.settings import Settings
from stages import _run, paths


def leakage_stage(settings: Settings, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    model = settings.audited_models[0]
    found = leakage(
        table,
        batches(paths.data(dataset, "pixels.npy"), 256),
        load_array(paths.data(dataset, f"features/{model}.npy")),
        model,
        settings.audit.near_duplicate_sensitivity,
    )
    write_json(paths.metrics(dataset, "audit/leakage"), found)


if __name__ == "__main__":
    _run.run(leakage_stage)
