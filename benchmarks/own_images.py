"""How long a test on a user's own images takes, with `deepcovid test` and with the stages of the pipeline.

    python -m benchmarks.own_images [--data data] [--record]

The images are those of phantom-external, and the head is ResNet18's under the recipe paper. The stages run in a
temporary clone of the committed state. It has links to what the study on phantoms has left in the folder --data. The
time that DVC itself takes is not measured. Run it by hand only.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from ruamel.yaml import YAML

from benchmarks._record import record
from benchmarks.pipeline import shell
from deepcovid import catalogue

OWN, USED = "folder", ("images.csv", "heads", "scores", "training", "weights")
STAGES = ("download", "split", "augment")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the study's data; default data")
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    options = parser.parse_args()
    study = options.data.resolve()
    with TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        shell("git", "clone", "--quiet", str(Path.cwd()), str(clone), folder=Path.cwd())
        images, table = study / "phantom-external/raw/phantom.zip", Path(name) / "own.csv"
        rows = catalogue.read(study / "phantom-external/images.csv")
        rows = rows.rename(columns={"member": "file", "patient_id": "patient"})
        rows[["file", "label", "finding", "view", "patient"]].to_csv(table, index=False)
        (clone / "data/phantom").mkdir(parents=True)
        for part in USED:
            (clone / "data/phantom" / part).symlink_to(study / "phantom" / part)
        name_it(clone, images, table)
        head = clone / "data/phantom/heads/frozen/resnet18/paper.safetensors"
        command = seconds(clone, "deepcovid", "test", images, "--table", table, "--head", head, "-o", clone / "tested")
        stages = seconds(clone, "stages.resolve")
        stages += sum(seconds(clone, f"stages.{stage}", "--dataset", OWN) for stage in STAGES)
        stages += seconds(clone, "stages.external_features", "--dataset", "phantom", "--images", OWN)
        stages += seconds(clone, "stages.evaluate", "--dataset", "phantom")
    print(f"{len(rows)} images: deepcovid test {command:.0f} s, the stages {stages:.0f} s")
    if options.record:
        record("own_images", {"images": len(rows), "command": {"seconds": command}, "stages": {"seconds": stages}})


def name_it(clone: Path, images: Path, table: Path) -> None:
    """Make the images the test set of the clone."""
    yaml = YAML()
    params = yaml.load(clone / "params.yaml")
    params["test_sets"] = [OWN]
    params["dataset"][OWN]["source"] |= {"images": str(images), "table": str(table)}
    yaml.dump(params, clone / "params.yaml")


def seconds(folder: Path, module: str, *options: object) -> float:
    """Return how long `python -m module` takes."""
    start = perf_counter()
    shell(sys.executable, "-m", module, *map(str, options), folder=folder)
    return perf_counter() - start


if __name__ == "__main__":
    main()
