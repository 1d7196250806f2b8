"""How memory and time grow with the number of images, from CheXpert's folder layout to near-duplicates.

    python -m benchmarks.scale [--images 1000 10000 100000] [--rows 1000000] [--members 200000] [--real 1000] [--record]

For each number of images it draws as many, 64 pixels a side, into a zip beside a train.csv, and runs the project's own
code over them, each part in a process of its own: the two tables, opening the zip, decoding, ResNet18's features, and
the search for leaks. Some images of 224 pixels say what an image of a real study costs. By hand only.
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from joblib import Parallel, cpu_count, delayed
from PIL import Image
from scipy.ndimage import gaussian_filter

import stages  # noqa: F401  # as a stage runs: its threads wait asleep
from benchmarks._record import record
from deepcovid import catalogue
from deepcovid.archives import Archive, add_member
from deepcovid.arrays import batches, load_array
from deepcovid.audits.leakage import leakage
from deepcovid.files import Known
from deepcovid.images.augmentation import with_copies
from deepcovid.images.decoding import decoded_images, write_images
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import FeaturePass
from deepcovid.nets.trunks import build, write_state
from deepcovid.passes import passing
from deepcovid.settings.analyses import FeatureSettings
from deepcovid.settings.datasets import AugmentSettings
from deepcovid.sources import chexpert

SIDE, REAL_SIDE = 64, 224
COVID, NEIGHBOURS = 84, 50  # as the paper's training images, and as params.yaml
VIEWS = 3  # images a patient
SETTINGS = FeatureSettings(device="auto", precision="fp32", batch_size=32)
COPIES = AugmentSettings(
    source="generated",
    copies=4,
    seed=0,
    flip_probability=0.5,
    rotation_degrees=10,
    elastic_alpha=5,
    elastic_sigma=1,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of a catalogue that is only read")
    parser.add_argument("--members", type=int, default=200_000, help="of a zip that is only opened")
    parser.add_argument("--real", type=int, default=1000, help="images of the size of a real study")
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(of_this_process(options.part, options.side)))
        return
    values: dict[str, Any] = {"cores": cpu_count(), "side": SIDE, "images": {}}
    values["real"] = {"side": REAL_SIDE, "images": options.real, "parts": measured(options.real, REAL_SIDE, PARTS)}
    for images in options.images:
        values["images"][str(images)] = measured(images, SIDE, PARTS)
    values["slopes"] = slopes(values["images"])
    print("slopes:", json.dumps(values["slopes"], indent=2))
    values["rows"] = {"number": options.rows, **measured(options.rows, 0, ["labels", "catalogue"])}
    values["members"] = {"number": options.members, **measured(options.members, 1, ["archive"])}
    if options.record:
        record("scale", values)


def measured(images: int, side: int, parts: Any) -> dict[str, dict[str, float]]:
    """Return what each part takes, of so many images; a side of 0 makes a table alone, 1 a zip of empty files."""
    found = {}
    with TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        draw(folder, images, side)
        for part in parts:
            command = [sys.executable, "-m", "benchmarks.scale", "--part", part, "--side", str(side)]
            place = os.environ | {"PYTHONPATH": str(Path.cwd())}
            done = subprocess.run(command, cwd=folder, env=place, stdout=subprocess.PIPE, text=True, check=True)
            found[part] = json.loads(done.stdout)
            print(f"{images} images of {side}, {part}: {found[part]['seconds']:.1f} s, {found[part]['peak_gb']:.2f} GB")
    return found


def slopes(sizes: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return what one more image costs, between the two largest numbers of images: milliseconds, and KB of memory."""
    if len(sizes) < 2:
        return {}
    (few, less), (many, more) = sorted(sizes.items(), key=lambda item: int(item[0]))[-2:]
    added = int(many) - int(few)
    return {
        part: {
            "ms": 1e3 * (more[part]["seconds"] - less[part]["seconds"]) / added,
            "kb": 1e6 * (more[part]["peak_gb"] - less[part]["peak_gb"]) / added,
        }
        for part in more
    }


def of_this_process(part: str, side: int) -> dict[str, float]:
    """Do a part in the working folder; return its seconds, and the memory of the largest of its processes."""
    start = perf_counter()
    PARTS[part](side)
    seconds = perf_counter() - start
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return {"seconds": seconds, "peak_gb": max(resource.getrusage(one).ru_maxrss for one in who) * 1024 / 1e9}


def draw(folder: Path, images: int, side: int) -> None:
    """Write train.csv and, unless the side is 0, a zip of images."""
    blanks = "," * len(chexpert.FINDINGS)
    with (folder / chexpert.TABLE).open("w") as table:
        print(",".join(chexpert.NEEDED), file=table)
        for name in names(images):
            print(f"{chexpert.NAME}/{name},Male,60,Frontal,AP,1.0{blanks}", file=table)
    if not side:
        return
    chunks = [range(start, min(start + 500, images)) for start in range(0, images, 500)]
    work = Parallel(cpu_count(), return_as="generator", pre_dispatch="2*n_jobs")(
        delayed(jpegs)(chunk, side) for chunk in chunks
    )
    with zipfile.ZipFile(folder / chexpert.ARCHIVE, "w") as archive:
        for name, content in zip(names(images), (one for chunk in work for one in chunk), strict=True):
            add_member(archive, name, content)


def names(images: int) -> Iterator[str]:
    for number in range(images):
        patient, study = divmod(number, VIEWS)
        yield f"train/patient{patient:06d}/study{study + 1}/view1_frontal.jpg"


def jpegs(numbers: range, side: int) -> list[bytes]:
    """Return images that all differ; those of a real study are a half larger than the square that is cut out."""
    if side == 1:
        return [b""] * len(numbers)
    width = side if side == SIDE else side * 3 // 2
    return [jpeg(np.random.default_rng(number), width) for number in numbers]


def jpeg(rng: np.random.Generator, width: int) -> bytes:
    noise = gaussian_filter(rng.normal(size=(width, width)), 2)
    stream = io.BytesIO()
    Image.fromarray(np.uint8(np.clip(128 + 50 * noise / noise.std(), 0, 255))).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def labels(_: int) -> None:
    """Read CheXpert's table and write the catalogue of its images, every fifth patient in the test."""
    table = chexpert.labels(Path(chexpert.TABLE)).rename_axis("image_id").reset_index()
    number = np.arange(len(table))
    test = number // VIEWS % 5 == 4
    covid = (test & (number < 5 * VIEWS * COVID // 4)) | (~test & (np.cumsum(~test) <= COVID))
    table = table.assign(
        archive=chexpert.ARCHIVE,
        member="train/" + table["source_image"],
        label=np.where(covid, "covid", "non"),
        split=np.where(test, "test", "train"),
    )
    catalogue.write(Path("split.csv"), table)


def read_catalogue(_: int) -> None:
    catalogue.read(Path("split.csv"))


def archive(_: int) -> None:
    Archive(Path(chexpert.ARCHIVE))


def decode(side: int) -> None:
    """Decode all images, with copies of the COVID images of training, as the stage augment does."""
    torch.set_num_threads(1)
    images = decoded_images(catalogue.read(Path("split.csv")), Path(), {}, resize_and_crop(side))
    catalogue.write(Path("images.csv"), write_images(with_copies(images, COPIES), Path("pixels.npy"), side))


def features(_: int) -> None:
    write_state(Path("weights.safetensors"), "resnet18", build("resnet18").state_dict())
    weights, pixels = Known.of(Path("weights.safetensors")), Known.of(Path("pixels.npy"))
    with passing(Path("unfinished"), dict) as write:
        images = len(load_array(Path("pixels.npy")))
        whole = FeaturePass(weights, pixels, images, SETTINGS, torch.get_num_threads())
        write(Path("features.npy"), [whole], "features")


def leaks(_: int) -> None:
    table = catalogue.read(Path("images.csv"))
    Path("scratch").mkdir()
    pixels, frozen = batches(Path("pixels.npy"), 256), load_array(Path("features.npy"))
    leakage(table, pixels, frozen, "resnet18", 0.9, NEIGHBOURS, Path("scratch"))


PARTS: dict[str, Callable[[int], None]] = {
    "labels": labels,
    "catalogue": read_catalogue,
    "archive": archive,
    "decode": decode,
    "features": features,
    "leaks": leaks,
}


if __name__ == "__main__":
    main()
