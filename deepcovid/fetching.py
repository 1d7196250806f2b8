"""Getting files: from the mirror folders where there are any, from the official source otherwise."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pooch
import requests
from pydantic import TypeAdapter, ValidationError

from deepcovid.archives import Archive
from deepcovid.errors import UserError
from deepcovid.files import expanded, replacing, sha256_of
from deepcovid.progress import track
from deepcovid.schema import read_yaml

MIRROR_VARIABLE = "DEEPCOVID_MIRROR"
Listed = TypeVar("Listed")


@dataclass(frozen=True)
class RemoteFile:
    """A file of a source, or a folder that only a mirror has.

    Attributes:
        path: Its place below a mirror folder.
        url: Its official address; blank where the source has none that a program may use.
        remedy: What a user without it has to do.
        optional: Whether the data set does without it.
        editions: What is known about files of this name, by SHA-256.
        sha256_prefix: What the SHA-256 of a download begins with, where its publisher says so.
        commit: The commit that `url` names, if the file is the archive of a git repository. `git archive`, which code
            hosts run, writes it into the comment of the zip. The bytes of such a zip, and its SHA-256 with them, may
            change.
    """

    path: str
    url: str
    remedy: str
    optional: bool = False
    editions: dict[str, str] = field(default_factory=dict)
    sha256_prefix: str = ""
    commit: str = ""


def mirror_folders() -> list[Path]:
    """Return the folders that DEEPCOVID_MIRROR names, separated as in PATH; none where it is not set.

    Whether they are there is checked by `find`: a data set that needs no file runs without them.
    """
    return [expanded(part) for part in os.environ.get(MIRROR_VARIABLE, "").split(os.pathsep) if part]


def find(mirrors: Sequence[Path], path: str) -> Path | None:
    """Return the file or folder `path` below the first of `mirrors` that has it.

    Raises:
        UserError: One of the mirrors is no folder.
    """
    for folder in mirrors:
        if not folder.is_dir():
            raise UserError(f"{MIRROR_VARIABLE}: no such folder as {folder}; name those that exist, or unset it")
    return next((folder / path for folder in mirrors if (folder / path).exists()), None)


def where_looked(mirrors: Sequence[Path]) -> str:
    """Return, for an error, that something is in none of `mirrors`."""
    if not mirrors:
        return f"{MIRROR_VARIABLE} is not set"
    return f"not in the mirror {' or '.join(str(folder) for folder in mirrors)}"


def remote_files(path: Path, source: str) -> list[RemoteFile]:
    """Return the files of `source`, as reference/sources.yaml at `path` lists them."""
    return _listed(path, list[RemoteFile], source)


def editions(path: Path, source: str) -> dict[str, str]:
    """Return what reference/sources.yaml at `path` knows of the files of `source`, by SHA-256."""
    return _listed(path, dict[str, str], "editions", source)


def _listed(path: Path, schema: type[Listed], *keys: str) -> Listed:
    """Return what stands at `keys` in reference/sources.yaml.

    Raises:
        UserError: It is not there, or is not as `schema` says.
    """
    value = read_yaml(path)
    try:
        for key in keys:
            value = value[key]
        return TypeAdapter(schema).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    except (LookupError, TypeError):
        why = "not there"
    raise UserError(f"{path}: {'.'.join(keys)}: {why}; get the file back with `git checkout {path}`")


class Packaged(NamedTuple):
    """A file that comes with an installed package.

    Attributes:
        path: Where it is.
        sha256: What its bytes are.
        licence: Under which licence it may be used.
    """

    path: Path
    sha256: str
    licence: str


def packaged(sources: Path, name: str) -> Packaged:
    """Return the file that reference/sources.yaml at `sources` lists below `packaged` as `name`.

    Raises:
        UserError: The package is not installed, or its file is another.
    """
    entry = _listed(sources, dict[str, str], "packaged", name)
    package, _, inside = entry["path"].partition("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"the package {package} is not installed; run `pip install -r requirements.txt`")
    path = Path(found.submodule_search_locations[0]) / inside
    if not path.is_file() or sha256_of(path) != entry["sha256"]:
        raise UserError(f"{path}: not the file that {sources} knows; run `pip install -r requirements.txt`")
    return Packaged(path, entry["sha256"], entry["licence"])


@contextmanager
def located(remote: RemoteFile, mirrors: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield where `remote` is, in a mirror or downloaded, and what is to be recorded of it.

    Downloads are kept in the user's cache folder (DEEPCOVID_CACHE, or the system's usual place), so that an interrupted
    run starts at the file it broke off at. If the block raises UserError, a download is removed: it was no good.

    Yields:
        The file, which is not to be changed, and: name, origin (`mirror` or `official`), url, bytes, sha256, edition.

    Raises:
        UserError: A mirror is no folder; the file is neither in a mirror nor to be downloaded, or its hash is not the
            published one.
    """
    local = find(mirrors, remote.path)
    official = local is None
    path = local or _download(remote, mirrors)
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


def fetch(remote: RemoteFile, target: Path, mirrors: Sequence[Path]) -> dict[str, Any]:
    """Copy `remote` to `target`, which appears only when it is complete, and return what is to be recorded of it.

    A zip is opened before it is copied, so that a damaged one is named by its own place.

    Raises:
        UserError: As `located` does; or a download is not of the commit that was asked for.
    """
    with located(remote, mirrors) as (path, record):
        if path.suffix == ".zip":
            with Archive(path) as archive:
                if record["origin"] == "official" and remote.commit not in ("", archive.comment):
                    raise UserError(
                        f"{remote.url}: not the archive of commit {remote.commit} (its comment is "
                        f"{archive.comment!r}); the download was damaged or changed: run again, or {remote.remedy}"
                    )
        with replacing(target) as partial:
            shutil.copyfile(path, partial)
    return record


def record_of(path: Path, name: str, origin: str, edition: str) -> dict[str, Any]:
    """Return what is to be recorded of a file that has no address: its `name`, where it came from, and its bytes."""
    return {
        "name": name,
        "origin": origin,
        "url": "",
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "edition": f"{edition}; checked by content only",
    }


def fetch_all(remotes: Iterable[RemoteFile], folder: Path, mirrors: Sequence[Path]) -> list[dict[str, Any]]:
    """Copy files into `folder`, optional ones only where a mirror has them, and return what to record of each."""
    wanted = [remote for remote in remotes if not remote.optional or find(mirrors, remote.path)]
    return [
        fetch(remote, folder / Path(remote.path).name, mirrors)
        for remote in track(wanted, "fetching", total=len(wanted), unit="files")
    ]


def _download(remote: RemoteFile, mirrors: Sequence[Path]) -> Path:
    looked = where_looked(mirrors)
    if not remote.url:
        raise UserError(f"{remote.path}: {looked} and it has no public address; {remote.remedy}")
    own = os.environ.get("DEEPCOVID_CACHE")
    cache = expanded(own) if own else pooch.os_cache("deepcovid")
    if str(cache).startswith("~"):
        raise UserError(f"DEEPCOVID_CACHE: no such home as in {cache}; name another folder, or unset it")
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
