"""The paper's two sources without the paper's selection: COVID-19 of covid-chestxray-dataset, the rest of CheXpert.

All views are listed; the filter holds them equal.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deepcovid.archives import Archive
from deepcovid.fetching import fetch_all, remote_files
from deepcovid.progress import track
from deepcovid.settings.datasets import CohenChexpertSource
from deepcovid.sources import chexpert, cohen


def fetch(source: CohenChexpertSource, folder: Path, reference: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Get covid-chestxray-dataset's archive, CheXpert's label table and a seeded sample of its images."""
    sources = reference / "sources.yaml"
    *whole, table, images = remote_files(sources, source.kind)
    return [
        *fetch_all(whole, folder, mirrors),
        chexpert.fetch_table(table, folder, mirrors, sources),
        chexpert.fetch_images(images, folder, mirrors, source.chexpert_images, source.seed),
    ]


def catalogue(folder: Path, reference: Path) -> pd.DataFrame:
    """Return one row per COVID-19 X-ray of the repository and per image of the sample."""
    covid = cohen.xrays(folder)
    with Archive(folder / chexpert.ARCHIVE) as archive:
        members = archive.members()
        table = chexpert.labels(folder / chexpert.TABLE).loc[members]
        table["sha256"] = [archive.digest(name) for name in track(members, "checking images", total=len(members))]
    table = table.assign(image_id="chexpert/" + table.index, archive=chexpert.ARCHIVE, member=members, label="non")
    return pd.concat([covid[covid["label"] == "covid"], table], ignore_index=True)
