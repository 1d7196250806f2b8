"""Synthetic radiographs as a data set: one zip with images, lesion masks and the catalogue's columns."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import cpu_count
from numpy.typing import NDArray
from PIL import Image

from deepcovid.archives import Archive, add_member
from deepcovid.catalogue import read_text_table
from deepcovid.files import replacing, sha256_of
from deepcovid.progress import track
from deepcovid.settings import PhantomSource
from deepcovid.sources.phantom.population import population

ARCHIVE = "phantom.zip"
TABLE = "images.csv"


def fetch(source: PhantomSource, folder: Path, reference: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Draw the phantoms and write them to one archive; the same source gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    patients = track(
        population(source, workers=cpu_count()),
        "drawing phantoms",
        total=sum(source.patients.values()),
        unit="patients",
    )
    with replacing(folder / ARCHIVE) as partial, zipfile.ZipFile(partial, "w") as archive:
        for phantoms in patients:
            for phantom in phantoms:
                name = phantom.row["image_id"]
                add_member(archive, f"images/{name}.jpg", _encoded(phantom.pixels, "JPEG", quality=92))
                add_member(archive, f"masks/{name}.png", _encoded(phantom.mask, "PNG"))
                rows.append(phantom.row)
        add_member(archive, TABLE, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n").encode())
    path = folder / ARCHIVE
    edition = f"drawn by deepcovid.phantom with seed {source.seed}"
    return [
        {
            "name": ARCHIVE,
            "origin": "generated",
            "url": "",
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "edition": edition,
        }
    ]


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


def _encoded(pixels: NDArray[Any], file_format: str, **options: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format, **options)
    return stream.getvalue()
