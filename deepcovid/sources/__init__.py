"""One module a source of images, each with the same two functions.

    fetch(source, folder, reference, mirrors)  put the raw files into `folder`; return what to record of each
    catalogue(folder, reference)               return one row per image: see deepcovid/catalogue.py

Adding a data set is adding a module here, its `kind` to deepcovid/settings.py and its entry to params.yaml.
"""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from deepcovid import catalogue
from deepcovid.settings import Source
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
