"""Mutated files and names at every door of the project, in process.

What a reader accepts is accepted wrongly only where it can be proved to be something else: a picture of a cut file, a
member of an archive with other bytes, a table with fewer rows than its text, a head that differs.
"""

import csv
import io
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd
import torch

from benchmarks.attack.mutations import BINARY, ODD, TEXT, cut
from benchmarks.attack.tries import AcceptedWrongly, Attack
from deepcovid import catalogue
from deepcovid.archives import Archive
from deepcovid.commands import main
from deepcovid.commands.check import read_tolerances
from deepcovid.commands.inputs import listed
from deepcovid.errors import UserError
from deepcovid.fetching import editions, remote_files
from deepcovid.heads.head_files import read_head
from deepcovid.images.decoding import decode
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets import weights
from deepcovid.nets.trunks import read_state
from deepcovid.nets.zoo import NETS
from deepcovid.parameters import validate
from deepcovid.report.checklists import read_checklists
from deepcovid.schema import read_yaml
from deepcovid.settings.datasets import FolderSource
from deepcovid.sources import folder as own_images
from deepcovid.statistics import published
from stages import _run
from tests.radiographs import dicom, encoded, noise
from tests.trained import MODEL, trained_folder

SIDE = 64
FRAMED = resize_and_crop(SIDE)
YAMLS = {
    "params.yaml": lambda path: settings(path),
    "reference/published.yaml": lambda path: published.validate(read_yaml(path), str(path)),
    "reference/checklists.yaml": lambda path: read_checklists(path),
    "reference/tolerances.yaml": lambda path: read_tolerances(path),
    "reference/sources.yaml": lambda path: sources(path),
}
# Parts of names; none leads to the machine's own folders.
NAMES = ("nowhere", "../nowhere", "/nowhere", "/dev/null", "~nobody", ".zip", "--", "-h", "%", "*", "$(id)", "`id`")


def attacks(folder: Path, project: Path) -> list[tuple[str, Attack]]:
    """Return the kinds of doors; `folder` is empty, and files are mutated there; `project` is only read."""
    grey = noise(size=(80, 72))
    pictures = {
        "PNG": encoded(grey, "PNG"),
        "JPEG": encoded(noise(size=(80, 72, 3)), "JPEG"),
        "TIFF": encoded(grey, "TIFF"),
        "DICOM": dicom(noise(size=(80, 72), dtype=np.uint16, high=4096), WindowCenter=2048, WindowWidth=4096),
    }
    heads = trained_folder(folder)
    tensors = folder / f"data/phantom/weights/{MODEL}.safetensors"
    pickled = folder / "plain.pth"
    torch.save(read_state(tensors)[1], pickled)
    zipped = _zip(folder / "four.zip", pictures)
    images = folder / "images"
    images.mkdir()
    for kind, content in pictures.items():
        (images / kind).write_bytes(content)
    kinds: dict[str, Attack] = {kind: partial(picture, kind, content) for kind, content in pictures.items()}
    kinds |= {
        "zip archive": partial(archive, folder, zipped, pictures),
        "catalogue": partial(table, folder, _catalogue(), catalogue.read),
        "user's table": partial(table, folder, _users_table(pictures), partial(_fetched, images)),
        "head": partial(head, folder, heads),
        "weights, safetensors": partial(state, folder, tensors, lambda path: read_state(path)[1]),
        "weights, pth": partial(state, folder, pickled, lambda path: weights.load(path, MODEL)),
        "name on the command line": partial(named, folder),
    }
    for file, read in YAMLS.items():
        kinds[file] = partial(yaml, folder, (project / file).read_bytes(), read)
    return list(kinds.items())


def _mutated(content: bytes, random: Random, ways: tuple[Callable[[bytes, Random], bytes], ...]) -> bytes:
    """Return the content, mutated once or, now and then, several times."""
    for _ in range(random.choice((1, 1, 1, 2, 5))):
        content = random.choice(ways)(content, random)
    return content


def _file(folder: Path, ending: str, content: bytes) -> Path:
    path = folder / f"mutated{ending}"
    path.write_bytes(content)
    return path


def picture(kind: str, content: bytes, random: Random) -> None:
    shorter = random.random() < 0.2
    changed = cut(content, random) if shorter else _mutated(content, random, BINARY)
    pixels = decode(changed, FRAMED)
    if np.array_equal(pixels, decode(content, FRAMED)):
        return
    if shorter:
        raise AcceptedWrongly(f"another picture of {len(changed)} of {len(content)} bytes")
    if kind == "PNG" and not all(_chunks(changed)):
        raise AcceptedWrongly("another picture, of a PNG whose checksum is wrong")


def _chunks(content: bytes) -> Iterator[bool]:
    """Yield whether the checksum of each chunk of a PNG that has one is right."""
    place = 8
    while place + 12 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        body, check = content[place + 4 : place + 8 + length], content[place + 8 + length : place + 12 + length]
        yield check == zlib.crc32(body).to_bytes(4, "big")
        if body[:4] == b"IEND":
            return
        place += 12 + length
    yield False


def _zip(path: Path, pictures: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in pictures.items():
            made.writestr(name, content)
    return path.read_bytes()


def archive(folder: Path, content: bytes, members: dict[str, bytes], random: Random) -> None:
    path = _file(folder, ".zip", _mutated(content, random, BINARY))
    with Archive(path) as found:
        found.members()
        for name, bytes_of in members.items():
            if found.read(name) != bytes_of:
                raise AcceptedWrongly(f"{name} has other bytes")


def _catalogue() -> bytes:
    columns = ("image_id", "archive", "member", "label", "finding", "patient_id", "split")
    lines = [
        (f"{row}.png", "a.zip", f"{row}.png", catalogue.LABELS[row % 2], 'a, "b"', str(row), "train")
        for row in range(12)
    ]
    made = catalogue.checked(pd.DataFrame(lines, columns=columns), "made")
    return made.to_csv(index=False, lineterminator="\n").encode()


def _users_table(pictures: dict[str, bytes]) -> bytes:
    lines = ["file,label,finding,view,patient"]
    lines += [f"{name},{'covid' if row % 2 else 'non'},,AP,p{row}" for row, name in enumerate(pictures)]
    return ("\n".join(lines) + "\n").encode()


def _fetched(images: Path, path: Path) -> pd.DataFrame:
    """Return the catalogue of a user's images that `path` names, and are copied first."""
    raw = path.parent / "raw"
    shutil.rmtree(raw, ignore_errors=True)
    raw.mkdir()
    source = FolderSource(kind="folder", images=str(images), table=str(path))
    own_images.fetch(source, raw, Path("reference"), [])
    return catalogue.checked(own_images.catalogue(raw, Path("reference")), str(path))


def table(folder: Path, content: bytes, read: Callable[[Path], pd.DataFrame], random: Random) -> None:
    changed = _mutated(content, random, TEXT)
    found = read(_file(folder, ".csv", changed))
    lines = [row for row in csv.reader(io.StringIO(changed.decode("utf-8-sig"), newline="")) if row]
    if len(found) != len(lines) - 1:
        raise AcceptedWrongly(f"{len(found)} rows of {len(lines) - 1}")
    if any(len(row) != len(lines[0]) for row in lines):
        raise AcceptedWrongly("a row of fewer values than the header has columns")


def head(folder: Path, original: Path, random: Random) -> None:
    found = read_head(_file(folder, ".safetensors", _mutated(original.read_bytes(), random, BINARY)))
    wanted = read_head(original)
    if repr(found) != repr(wanted) or not np.array_equal(found.weight, wanted.weight):
        raise AcceptedWrongly("another head")


def state(folder: Path, original: Path, read: Callable[[Path], weights.State], random: Random) -> None:
    found = read(_file(folder, original.suffix, _mutated(original.read_bytes(), random, BINARY)))
    if {key: value.shape for key, value in found.items()} != {
        key: value.shape for key, value in read(original).items()
    }:
        raise AcceptedWrongly("other tensors")
    if not all(torch.isfinite(value).all() for value in found.values()):
        raise AcceptedWrongly("weights that are no numbers")


def yaml(folder: Path, content: bytes, read: Callable[[Path], object], random: Random) -> None:
    read(_file(folder, ".yaml", _mutated(content, random, TEXT)))


def settings(path: Path) -> None:
    """Read params.yaml as `resolve` does: what every data set runs with."""
    found = validate(read_yaml(path), str(path), NETS)
    for dataset in found.datasets:
        found.parameters(dataset, NETS)


def sources(path: Path) -> None:
    """Read the table of sources as the stages that fetch do."""
    for source in ("covid-xray-5k", "cohen", "cohen-chexpert"):
        remote_files(path, source)
    editions(path, "weights")


def named(folder: Path, random: Random) -> None:
    """Name something odd where a command or a stage wants a name."""
    words = ["".join(random.choice((*ODD, *NAMES)) for _ in range(random.randint(1, 3))) for _ in range(3)]
    if random.random() < 0.9:  # no command line can hold a NUL, but a name in a file can
        words = [word.replace("\0", "") for word in words]
    first, second, third = words
    doors: list[Callable[[], object]] = [
        lambda: main(["show", "--no-browser", "--", first]),
        lambda: main(["predict", "--head", second, "--", first]),
        lambda: main(["predict", "--head", str(folder / "none"), "--csv", second, "--", str(folder)]),
        lambda: main(["check", "--revision", second, "--tolerances", third, "--", first]),
        lambda: main(words),
        lambda: _run.check("dataset", first, {"phantom"}),
        lambda: _listed(Path(first)),
    ]
    random.choice(doors)()


def _listed(path: Path) -> None:
    with ExitStack() as stack:
        _, failures = listed([path], stack)
    for why in failures.values():
        raise UserError(why)
