"""Synthetic radiographs as a data set: one zip with images, lesion masks and the catalogue's columns."""

import io
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import cpu_count
from numpy.typing import NDArray
from PIL import Image

from deepcovid.archives import Archive, add_member
from deepcovid.catalogue import read_text_table
from deepcovid.fetching import record_of
from deepcovid.files import replacing
from deepcovid.progress import track
from deepcovid.settings.datasets import PhantomSource
from deepcovid.sources.phantom.population import planned, population

ARCHIVE = "phantom.zip"
TABLE = "images.csv"


def fetch(source: PhantomSource, folder: Path, reference: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Draw the phantoms and write them to one archive; the same source gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    wanted = planned(source)
    with (
        closing(population(wanted, source, cpu_count())) as patients,
        replacing(folder / ARCHIVE) as partial,
        zipfile.ZipFile(partial, "w") as archive,
    ):
        for phantoms in track(patients, "drawing phantoms", total=len(wanted), unit="patients"):
            for phantom in phantoms:
                name = phantom.row["image_id"]
                add_member(archive, f"images/{name}.jpg", phantom.file)
                add_member(archive, f"masks/{name}.png", _png(phantom.mask))
                rows.append(phantom.row)
        add_member(archive, TABLE, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode())
    return [record_of(folder / ARCHIVE, ARCHIVE, "generated", f"drawn with seed {source.seed}")]


def catalogue(folder: Path, reference: Path) -> pd.DataFrame:
    """Return one row per phantom."""
    with Archive(folder / ARCHIVE) as archive:
        table = read_text_table(io.BytesIO(archive.read(TABLE)), TABLE)
        table["member"] = "images/" + table["image_id"] + ".jpg"
        table["mask"] = "masks/" + table["image_id"] + ".png"
        table["sha256"] = table["member"].map(archive.digest)
    table["archive"] = ARCHIVE
    table["source"] = "phantom"
    table["source_image"] = table["image_id"]
    table["licence"] = "Apache-2.0"
    return table


def _png(mask: NDArray[np.bool_]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    return stream.getvalue()
