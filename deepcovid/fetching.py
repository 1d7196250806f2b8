"""Getting files: from a mirror folder where there is one, from the official source otherwise."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pooch
import requests
from ruamel.yaml import YAML

from deepcovid.archives import Archive
from deepcovid.errors import UserError
from deepcovid.files import replacing, sha256_of

MIRROR_VARIABLE = "DEEPCOVID_MIRROR"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source.

    Attributes:
        path: Its place below the mirror folder.
        url: Its official address; blank where the source has none that a program may use.
        remedy: What a user without it has to do.
        optional: Whether the data set does without it.
        editions: What is known about files of this name, by SHA-256.
        sha256_prefix: What the SHA-256 of a download begins with, where its publisher says so.
    """

    path: str
    url: str
    remedy: str
    optional: bool = False
    editions: dict[str, str] = field(default_factory=dict)
    sha256_prefix: str = ""


def mirror_folder() -> Path | None:
    """Return the folder that DEEPCOVID_MIRROR names.

    Raises:
        UserError: The variable names no folder.
    """
    value = os.environ.get(MIRROR_VARIABLE)
    if not value:
        return None
    folder = Path(value).expanduser()
    if not folder.is_dir():
        raise UserError(f"{MIRROR_VARIABLE}={value}: no such folder; name one that exists or unset the variable")
    return folder


def remote_files(path: Path, source: str) -> list[RemoteFile]:
    """Return the files of `source`, as reference/sources.yaml at `path` lists them."""
    return [RemoteFile(**entry) for entry in YAML(typ="safe", pure=True).load(path)[source]]


def editions(path: Path, source: str) -> dict[str, str]:
    """Return what reference/sources.yaml at `path` knows of the files of `source`, by SHA-256."""
    known: dict[str, str] = YAML(typ="safe", pure=True).load(path)["editions"][source]
    return known


@contextmanager
def located(remote: RemoteFile, mirror: Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield where `remote` is, in the mirror or downloaded, and what is to be recorded of it.

    Downloads are kept in the user's cache folder (DEEPCOVID_CACHE, or the system's usual place), so that an interrupted
    run starts at the file it broke off at. If the block raises UserError, a download is removed: it was no good.

    Yields:
        The file, which is not to be changed, and: name, origin (`mirror` or `official`), url, bytes, sha256, edition.

    Raises:
        UserError: The file is neither in the mirror nor to be downloaded, or its hash is not the published one.
    """
    local = mirror / remote.path if mirror else None
    official = not (local and local.is_file())
    path = local if local and not official else _download(remote, mirror)
    try:
        digest = sha256_of(path)
        if official and not digest.startswith(remote.sha256_prefix):
            raise UserError(
                f"{remote.url}: its SHA-256 {digest} does not begin with {remote.sha256_prefix}; "
                "the download was damaged or changed: run again"
            )
        yield (
            path,
            {
                "name": remote.path,
                "origin": "official" if official else "mirror",
                "url": remote.url,
                "bytes": path.stat().st_size,
                "sha256": digest,
                "edition": remote.editions.get(digest, "not seen before; checked by content only"),
            },
        )
    except UserError:
        if official:
            path.unlink(missing_ok=True)
        raise


def fetch(remote: RemoteFile, target: Path, mirror: Path | None) -> dict[str, Any]:
    """Copy `remote` to `target`, which appears only when it is complete, and return what is to be recorded of it.

    A zip is opened before it is copied, so that a damaged one is named by its own place.
    """
    with located(remote, mirror) as (path, record):
        if path.suffix == ".zip":
            with Archive(path):
                pass
        with replacing(target) as partial:
            shutil.copyfile(path, partial)
    return record


def _download(remote: RemoteFile, mirror: Path | None) -> Path:
    looked = f"not in the mirror {mirror}" if mirror else f"{MIRROR_VARIABLE} is not set"
    if not remote.url:
        raise UserError(f"{remote.path}: {looked} and it has no public address; {remote.remedy}")
    cache = pooch.os_cache("deepcovid") if "DEEPCOVID_CACHE" not in os.environ else Path(os.environ["DEEPCOVID_CACHE"])
    try:
        return Path(
            pooch.retrieve(
                remote.url,
                known_hash=None,
                fname=f"{pooch.utils.unique_file_name(remote.url)[:33]}{Path(remote.path).name}",
                path=cache,
                downloader=pooch.HTTPDownloader(progressbar=True, timeout=60),
            )
        )
    except (requests.RequestException, OSError, ValueError) as error:
        reason = type(error).__name__
        raise UserError(
            f"{remote.path}: {looked} and {remote.url} could not be downloaded ({reason}); "
            f"check the network, or {remote.remedy}"
        ) from None
