"""One module a data set, each with the same two functions.

    fetch(source, folder, reference, mirrors)  put the raw files into `folder`; return what to record of each
    catalogue(folder, reference)               return one row per image: see deepcovid/catalogue.py

phantom/           synthetic radiographs, drawn by the project
covid_xray_5k.py   the paper's own images
cohen_chexpert.py  the paper's two sources without the paper's selection
cohen.py           covid-chestxray-dataset, the source of every COVID-19 image; and, alone, as a data set
chexpert.py        the source of every non-COVID image; no data set of its own
folder.py          a user's own images
edition.py         sizes of the originals, where an edition of COVID-Xray-5k is a reduced one

Adding a data set is adding a module here, its `kind` to deepcovid/settings/datasets.py and its entry to params.yaml.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from deepcovid import catalogue
from deepcovid.settings.datasets import Source
from deepcovid.sources import cohen, cohen_chexpert, covid_xray_5k, folder
from deepcovid.sources.phantom import source as phantom

MODULES: dict[str, ModuleType] = {
    "phantom": phantom,
    "covid-xray-5k": covid_xray_5k,
    "cohen-chexpert": cohen_chexpert,
    "cohen": cohen,
    "folder": folder,
}


def prepare(source: Source, raw: Path, reference: Path, mirrors: Sequence[Path]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Put the raw files of `source` into the folder `raw` and list their images.

    Args:
        source: Which source, with its options.
        raw: Where the raw files go.
        reference: Folder with the published file lists and addresses.
        mirrors: Folders asked before the official addresses, in this order.

    Returns:
        The catalogue, and the provenance of the files.
    """
    module = MODULES[source.kind]
    files = module.fetch(source, raw, reference, mirrors)
    table = catalogue.checked(module.catalogue(raw, reference), source.kind)
    return table, {"source": source.kind, "images": len(table), "files": files}
