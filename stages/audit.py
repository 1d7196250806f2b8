"""Gather the audits' main numbers: how far a data set's scores can be trusted."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from deepcovid.audits.verdict import verdict
from deepcovid.errors import UserError
from deepcovid.files import write_csv, write_json
from deepcovid.settings import Settings
from stages import _run, paths


def audit(settings: Settings, dataset: str) -> None:
    leakage, acquisition, baselines, hidden, calibration = (
        read(dataset, name) for name in ("leakage", "acquisition", "baselines", "hidden", "calibration")
    )
    external = [
        read(dataset, f"external-{images}-{model}") for images in settings.test_sets for model in settings.models
    ]
    try:
        found = verdict(leakage, acquisition, baselines, hidden, external, settings.audit.hidden_share)
        rows = reliability(dataset, settings, calibration, external)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"metrics/{dataset}/audit: a file there is not as its stage writes it ({error!r}); "
            "delete that folder and run `dvc repro`"
        ) from error
    write_json(paths.metrics(dataset, "audit"), found)
    write_csv(paths.plots(dataset, "reliability.csv"), pd.DataFrame(rows))


def reliability(
    dataset: str, settings: Settings, calibration: Mapping[str, Any], external: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row per bin of every reliability curve, of the data set's own images and of other people's."""
    bins = {(dataset, model): own["bins"] for model, own in calibration.items()}
    bins |= {(test["images"], test["model"]): test["recipes"][settings.audit.recipe]["bins"] for test in external}
    return [
        {"dataset": dataset, "images": images, "model": model, "images_in_bin": row["images"]}
        | {key: row[key] for key in ("mean_score", "observed", "observed_low", "observed_high")}
        for (images, model), part in bins.items()
        for row in part
    ]


def read(dataset: str, name: str) -> Any:
    """Return what an audit found."""
    path = paths.metrics(dataset, f"audit/{name}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); delete it and run `dvc repro`") from None


if __name__ == "__main__":
    _run.run(audit)
