"""COVID-Xray-5k: the paper's own images, as its authors published them.

The archive holds `data_upload_v3/{train,test}/{covid,non}/<name>`, and nothing about an image but its name; finding,
view and patient come from the two collections that the images were taken from.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deepcovid.archives import Archive, own_files
from deepcovid.catalogue import read_text_table
from deepcovid.errors import UserError
from deepcovid.fetching import fetch_all, remote_files
from deepcovid.images import masks
from deepcovid.progress import track
from deepcovid.settings.datasets import CovidXray5kSource
from deepcovid.sources import chexpert, cohen, edition

ARCHIVE = "data_upload_v3.zip"

COPY = re.compile(r"covid_original_(?P<original>.+)_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.\w+")
CHEXPERT_NAME = re.compile(
    r"((?P<finding>[^-]+)-)?(?P<patient>patient\d+)-(?P<study>study\d+)-(?P<view>view\d+_\w+)\.jpg"
)


def fetch(source: CovidXray5kSource, folder: Path, reference: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Get the authors' archive and the two tables that say what its images are."""
    sources = reference / "sources.yaml"
    *others, table = remote_files(sources, source.kind)
    return [*fetch_all(others, folder, mirrors), chexpert.fetch_table(table, folder, mirrors, sources)]


def catalogue(folder: Path, reference: Path) -> pd.DataFrame:
    """Return one row per published image, after checking the archive against the published file list.

    Raises:
        UserError: The archive lacks a published file, has another, or is damaged; a table lacks a column.
    """
    published = read_text_table(reference / "file-lists" / "covid-xray-5k.csv")
    with Archive(folder / ARCHIVE) as archive:
        names = own_files(archive.members())
        members = {"/".join(name.rsplit("/", 3)[-3:]): name for name in names}
        if len(members) < len(names):
            raise UserError(f"{archive.path}: holds the same file in two folders; get the authors' archive again")
        _check_members(archive.path, members, published)
        digests = {
            key: archive.digest(name) for key, name in track(members.items(), "checking images", total=len(members))
        }
    with Archive(folder / masks.ARCHIVE) as archive:
        covid_facts = cohen.metadata(archive)
    non_facts = chexpert.labels(folder / chexpert.TABLE)

    rows = []
    for split, label, file in published[["split", "label", "file"]].itertuples(index=False):
        key = f"{split}/{label}/{file}"
        row = {
            "image_id": key,
            "archive": ARCHIVE,
            "member": members[key],
            "label": label,
            "published_split": split,
            "sha256": digests[key],
            "modality": "X-ray",
        }
        facts = _covid_row(row, covid_facts) if label == "covid" else _non_row(row, non_facts)
        rows.append(row | facts)
    table = pd.DataFrame(rows)
    return edition.with_original_sizes(table, table["image_id"].str.rsplit("/", n=1).str[-1], folder)


def _check_members(path: Path, members: dict[str, str], published: pd.DataFrame) -> None:
    wanted = set(published["split"] + "/" + published["label"] + "/" + published["file"])
    missing, foreign = sorted(wanted - set(members)), sorted(set(members) - wanted)
    if missing or foreign:
        lacks = f"lacks {len(missing)} published files, first {missing[0]!r}" if missing else ""
        adds = f"has {len(foreign)} that were not published, first {foreign[0]!r}" if foreign else ""
        raise UserError(f"{path}: {' and '.join(filter(None, [lacks, adds]))}; get the authors' archive again")


def _covid_row(row: dict[str, str], facts: pd.DataFrame) -> dict[str, str]:
    folder, file = row["image_id"].rsplit("/", 1)
    copy = COPY.fullmatch(file)
    original = copy["original"] if copy else file
    found: dict[str, str] = {
        "source": masks.SOURCE,
        "source_image": file,
        # Four published images are not in the metadata; the archive's folder says what they are.
        "finding": "COVID-19",
        "augmentation_of": f"{folder}/{original}" if copy else "",
    }
    return found | (_facts_of(facts, original) if original in facts.index else {})


def _non_row(row: dict[str, str], facts: pd.DataFrame) -> dict[str, str]:
    name = CHEXPERT_NAME.fullmatch(row["image_id"].rsplit("/", 1)[1])
    if not name:
        raise UserError(f"{row['member']}: not named as CheXpert's images are; get the authors' archive again")
    key = f"{name['patient']}/{name['study']}/{name['view']}.jpg"
    if key not in facts.index:
        raise UserError(f"{chexpert.TABLE}: no row for {key}; get CheXpert's whole label table")
    found = _facts_of(facts, key)
    # A training image is published under the finding it was drawn for; that is one of its labels.
    return found | ({"finding": name["finding"]} if name["finding"] else {})


def _facts_of(facts: pd.DataFrame, key: str) -> dict[str, str]:
    return {str(column): str(value) for column, value in facts.loc[key].items()}
