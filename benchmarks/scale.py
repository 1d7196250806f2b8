"""How processor time and memory grow with the number of images, from CheXpert's folder layout to features.

    python -m benchmarks.scale [--images 1000 10000 100000] [--parts labels decode ...] [--record]

For each number of images, so many are drawn into a zip, 64 pixels a side, and listed in a train.csv. Then the project's
own code runs over them, each part in its own process. The part `real` decodes images of the size of a real study,
`rows` reads a catalogue of a million rows, and `members` opens a zip of 200,000 files. `neighbours` looks for the
nearest of 100,000 training images, as the search for near-duplicates does for each test image. Seconds are processor
time, so other work on the machine changes them little. Run it by hand only.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
from PIL import Image

import stages  # noqa: F401  # sets passive waiting of threads, as in a stage
from benchmarks._record import FOLDER, record
from deepcovid import catalogue
from deepcovid.archives import Archive, add_member
from deepcovid.passes.executors import WORKERS
from deepcovid.sources import chexpert

# Pixels: the side of most images here, and in a real study the side of a decoded image and of a file.
SIDE, REAL_SIDE, FILE_SIDE = 64, 224, 336
DISTINCT = 2000  # images that differ; the others repeat them
COVID = 84  # images, as in the paper's training
VIEWS = 3  # images a patient
ROWS, MEMBERS, REAL, TRAINED = 1_000_000, 200_000, 200, 100_000
ONCE = {"rows": ROWS, "members": MEMBERS, "real": REAL, "neighbours": TRAINED}
TESTED, NEAREST, FEATURES = 4096, 50, 512  # test images, training images found for each, and features of ResNet18


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--parts", nargs="+", choices=[*PARTS, *ONCE], default=[*PARTS, *ONCE])
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    parser.add_argument("--part", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(of_this_process(options.part, options.rows, options.side)))
        return
    keep = partial(record, "scale") if options.record else lambda _: None
    keep({"side": SIDE, "real_side": REAL_SIDE, "file_side": FILE_SIDE})
    if "members" in options.parts:
        with folder() as place:
            write_zip(place, MEMBERS, [b""])
            keep({"members": {"number": MEMBERS} | measured(place, "archive", MEMBERS)})
    if "rows" in options.parts:
        with folder() as place:
            write_catalogue(place, ROWS)
            keep({"rows": {"number": ROWS} | measured(place, "catalogue", ROWS)})
    if "real" in options.parts:
        with folder() as place:
            draw(place, REAL, FILE_SIDE)
            write_catalogue(place, REAL)
            keep({"real": {"number": REAL} | measured(place, "decode", REAL, REAL_SIDE)})
    if "neighbours" in options.parts:
        with folder() as place:
            keep({"neighbours": {"number": TRAINED, "tested": TESTED} | measured(place, "neighbours", TRAINED)})
    known = json.loads((FOLDER / "scale.json").read_text()).get("parts", {}) if options.record else {}
    sizes: dict[str, dict[str, Any]] = {part: dict(known.get(part, {}).get("images", {})) for part in PARTS}
    for images in options.images:
        with folder() as place:
            draw(place, images, SIDE)
            for part in (part for part in PARTS if part in options.parts):
                sizes[part][str(images)] = measured(place, part, images)
        keep({"parts": {part: {"images": own} | slope(own) for part, own in sizes.items() if own}})


def folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(dir=".", prefix="scale-")


def measured(place: str, part: str, rows: int, side: int = SIDE) -> dict[str, float]:
    """Return the seconds and the memory that a part takes for `rows` images, in its own process."""
    command = [sys.executable, "-m", "benchmarks.scale", "--part", part, "--rows", str(rows), "--side", str(side)]
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=place, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    print(f"{rows} images, {part}: {found['core_seconds']:.1f} s, {found['peak_gb']:.2f} GB", flush=True)
    return found


def slope(sizes: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the cost of one more image, in milliseconds and KB of memory, from the two largest numbers of images."""
    if len(sizes) < 2:
        return {}
    (few, less), (many, more) = sorted(sizes.items(), key=lambda item: int(item[0]))[-2:]
    added = int(many) - int(few)
    milliseconds, kilobytes = ((more[key] - less[key]) / added for key in ("core_seconds", "peak_gb"))
    return {"ms": 1e3 * milliseconds, "kb": 1e6 * kilobytes}


def of_this_process(part: str, rows: int, side: int) -> dict[str, float]:
    """Run a part in the working folder; return the seconds of its code without imports, and the process's memory."""
    os.environ[WORKERS] = "1"  # this process, whose time and memory are measured
    work = WORKS[part](rows, side)  # imports what it needs
    start = process_time()
    work()
    seconds = process_time() - start
    status = Path("/proc/self/status").read_text().split()
    # ru_maxrss is not used: a process inherits it from the process that started it.
    return {"core_seconds": seconds, "peak_gb": int(status[status.index("VmHWM:") + 1]) * 1024 / 1e9}


def draw(place: str, images: int, side: int) -> None:
    """Write train.csv and a zip of images, of which DISTINCT differ."""
    blanks = "," * len(chexpert.FINDINGS)
    with (Path(place) / chexpert.TABLE).open("w") as table:
        print(",".join(chexpert.NEEDED), file=table)
        for name in names(images):
            print(f"{chexpert.NAME}/{name},Male,60,Frontal,AP,1.0{blanks}", file=table)
    write_zip(place, images, [jpeg(np.random.default_rng(number), side) for number in range(min(images, DISTINCT))])


def write_zip(place: str, members: int, contents: list[bytes]) -> None:
    with zipfile.ZipFile(Path(place) / chexpert.ARCHIVE, "w") as archive:
        for name, content in zip(names(members), islice(cycle(contents), members), strict=True):
            add_member(archive, name, content)


def write_catalogue(place: str, rows: int) -> None:
    """Write a catalogue like the part `labels`, but of training images without COVID-19 only, which get no copies."""
    columns = (*catalogue.COLUMNS, "split")
    values = dict.fromkeys(columns, "") | {"archive": chexpert.ARCHIVE, "label": "non", "finding": catalogue.NORMAL}
    values |= {"view": "AP", "modality": "X-ray", "sex": "M", "age": "60", "source": "CheXpert", "split": "train"}
    values |= {"licence": chexpert.LICENCE}
    with (Path(place) / "split.csv").open("w") as table:
        print(",".join(columns), file=table)
        for name in names(rows):
            own = name.removeprefix("train/")
            patient = f"chexpert-{own.split('/')[0]}"
            named = {"image_id": own, "member": name, "source_image": own, "patient_id": patient}
            cells = (values | named).values()
            print(",".join(f'"{cell}"' if "," in cell else cell for cell in cells), file=table)


def names(images: int) -> Iterator[str]:
    for number in range(images):
        patient, study = divmod(number, VIEWS)
        yield f"train/patient{patient:06d}/study{study + 1}/view1_frontal.jpg"


def jpeg(rng: np.random.Generator, side: int) -> bytes:
    coarse = Image.fromarray(rng.integers(0, 256, (side // 6, side // 6), dtype=np.uint8))
    stream = io.BytesIO()
    coarse.resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


Work = Callable[[], object]


def labels(_rows: int, _side: int) -> Work:
    """Read CheXpert's table and write the catalogue of its images, with every fifth patient in the test set."""

    def work() -> None:
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

    return work


def read_catalogue(_rows: int, _side: int) -> Work:
    return lambda: catalogue.read(Path("split.csv"))


def open_archive(_rows: int, _side: int) -> Work:
    return lambda: Archive(Path(chexpert.ARCHIVE))


def decode(rows: int, side: int) -> Work:
    """Decode all images in shards, with copies of the COVID training images, as the stage augment does."""
    from deepcovid.files import Known, KnownArchives
    from deepcovid.images.decoding import forget_archives, usable, write_images
    from deepcovid.images.image_pass import ImagePass, made
    from deepcovid.passes.shards import passing
    from deepcovid.settings.datasets import AugmentSettings

    copies = AugmentSettings(
        source="generated",
        copies=4,
        seed=0,
        flip_probability=0.5,
        rotation_degrees=10,
        elastic_alpha=5,
        elastic_sigma=1,
    )

    def work() -> None:
        columns = list(catalogue.read(Path("split.csv")).columns)
        with passing(Path("unfinished"), dict) as run:
            archives = KnownArchives.of(Path())
            whole = ImagePass(Known.of(Path("split.csv")), rows, archives, side, copies, ("train",))
            parts = run("images", [whole], "images")
            forget_archives()
            made_images = usable(made(Path("split.csv"), parts, ("train",)), {})
            write_images(made_images, Path("pixels.npy"), Path("images.csv"), columns, side)
        catalogue.read(Path("images.csv"))

    return work


def features(rows: int, _side: int) -> Work:
    """Run ResNet18 over all images, as the stage features does."""
    from deepcovid.files import Known
    from deepcovid.nets.features import FeaturePass
    from deepcovid.nets.trunks import build, write_state
    from deepcovid.passes.shards import passing, write_array
    from deepcovid.settings.analyses import FeatureSettings

    settings = FeatureSettings(device="cpu", precision="fp32", batch_size=32)

    def work() -> None:
        write_state(Path("weights.safetensors"), "resnet18", build("resnet18").state_dict())
        weights, pixels = Known.of(Path("weights.safetensors")), Known.of(Path("pixels.npy"))
        with passing(Path("unfinished"), dict) as run:
            whole = FeaturePass(weights, pixels, rows, settings)
            write_array(Path("features.npy"), run("features", [whole], "features"))

    return work


def neighbours(rows: int, _side: int) -> Work:
    """Find the nearest of `rows` images for others, by random features of length 1, as the stage audits does."""
    from deepcovid.arrays import ArrayWriter
    from deepcovid.audits.near_duplicates import Seen

    rng, images = np.random.default_rng(0), np.arange(rows + TESTED)
    with ArrayWriter(Path("vectors.npy"), (FEATURES,), np.float32) as writer:
        for part in np.array_split(images, 32):
            vectors = rng.standard_normal((len(part), FEATURES), np.float32)
            writer.append(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    seen = Seen(images, *(Path(f"{name}.npy") for name in ("vectors", "straight", "mirrored")))
    return lambda: seen.nearest(images[:rows], images[rows:], NEAREST)


PARTS: dict[str, Callable[[int, int], Work]] = {
    "labels": labels,
    "catalogue": read_catalogue,
    "archive": open_archive,
    "decode": decode,
    "features": features,
}
WORKS = PARTS | {"neighbours": neighbours}


if __name__ == "__main__":
    main()
