"""One module a source of images, each with the same two functions.

    fetch(source, folder, reference, mirror)  put the raw files into `folder`; return what to record of each
    catalogue(folder, reference)              return one row per image: see deepcovid/catalogue.py

Adding a data set is adding a module here, its `kind` to deepcovid/settings.py and its entry to params.yaml.
"""

from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from deepcovid import catalogue
from deepcovid.datasets import covid_xray_5k, phantom
from deepcovid.settings import Source

MODULES: dict[str, ModuleType] = {
    "phantom": phantom,
    "covid-xray-5k": covid_xray_5k,
}


def prepare(source: Source, folder: Path, reference: Path, mirror: Path | None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Put the raw files of `source` into `folder` and list their images.

    Args:
        source: Which source, with its options.
        folder: Where the raw files go.
        reference: Folder with the published file lists and addresses.
        mirror: Folder asked before the official addresses.

    Returns:
        The catalogue, and the provenance of the files.
    """
    module = MODULES[source.kind]
    files = module.fetch(source, folder, reference, mirror)
    table = catalogue.checked(module.catalogue(folder, reference), source.kind)
    return table, {"source": source.kind, "images": len(table), "files": files}
