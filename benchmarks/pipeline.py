"""How long the study on phantoms takes from a fresh clone, a second time, after a change, and with all its checks.

    python -m benchmarks.pipeline [--parts fresh check changes] [--record]

The committed state is cloned into a temporary folder, with an empty cache. There the commands run that the README gives
a new user, in the environment of this process. The first run is forced: where features are the committed ones to the
last bit, DVC would skip stages that run anywhere else. Machines differ, so one bare pass of the nets is timed beside
the fresh run, as a yardstick. This takes three quarters of an hour. Run it by hand only.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from joblib import cpu_count

from benchmarks._record import record
from benchmarks.features import bare_rate, write_pixels
from deepcovid.nets.features import keep_large_buffers
from deepcovid.nets.trunks import build, trunk
from deepcovid.settings.analyses import FeatureSettings
from stages._resolved import read_settings
from tests.checkouts import PATH

YARDSTICK = {"images": 5640, "side": 96}  # about as many images as the study draws; the side in pixels
PARTS = ("fresh", "check", "changes")
RECIPE = "recipe.failed-reproduction"
CHANGES = {  # each with the file of which `dvc metrics diff` shows lines
    "recipe": (
        f"dvc exp run -S {RECIPE}.schedule.kind=constant -S {RECIPE}.sampling=balanced",
        "metrics/phantom/resnet18-failed-reproduction.json",
    ),
    "shortcut": ("dvc exp run -S dataset.phantom.source.shortcut=0", "metrics/phantom/resnet18-paper.json"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="what is timed")
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        shell("git", "clone", "--quiet", str(Path.cwd()), str(clone), folder=Path.cwd())
        fresh, _ = timed("dvc repro --force", clone)
        again, lines = timed("dvc repro", clone)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9  # of the largest process
        print(f"dvc repro {fresh:.0f} s, at most {peak:.2f} GB a process; again {again:.1f} s", flush=True)
        values: dict[str, Any] = {"cores": cpu_count()}
        if "fresh" in options.parts:
            bare = bare_seconds(Path(folder))
            print(f"one bare pass of the nets over {YARDSTICK['images']} images {bare:.0f} s", flush=True)
            values["fresh"] = {"minutes": fresh / 60, "peak_gb": peak}
            values["again"] = {"seconds": again, "says": next(line for line in lines[::-1] if "Stage" in line)}
            values["yardstick"] = YARDSTICK | {"seconds": bare}  # with `fresh` only: both are of one run
        if "check" in options.parts:
            compared, lines = timed("deepcovid check", clone)
            tested, _ = timed("python -m pytest -n 2 --dist loadfile -m pipeline", clone)
            values["check"] = {"minutes": (fresh + compared + tested) / 60, "says": lines[-1]}
            print(f"with the checks {values['check']['minutes']:.1f} min: {lines[-1]}", flush=True)
        if "changes" in options.parts:
            _, lines = timed("dvc metrics show", clone)
            values["metrics"] = rows(lines, "Path", *(file for _, file in CHANGES.values()))
            for name, (command, file) in CHANGES.items():
                took, said = timed(command, clone)
                _, lines = timed("dvc metrics diff", clone)
                values[name] = {"command": command, "seconds": took, "says": said[-1], "diff": rows(lines, file)}
                print(f"{command} {took:.0f} s", *values[name]["diff"], sep="\n", flush=True)
                shell("git", "checkout", "--quiet", "params.yaml", folder=clone)
    if options.record:
        record("pipeline", values)


def bare_seconds(folder: Path) -> float:
    """Return how long the study's nets take for the yardstick's images once, with nothing but the nets at work."""
    keep_large_buffers()
    settings = FeatureSettings(device="cpu", precision="fp32", batch_size=32)
    pixels = write_pixels(folder / "pixels.npy", settings.batch_size, YARDSTICK["side"])
    images, nets = YARDSTICK["images"], [trunk(name, build(name).state_dict()) for name in read_settings().models]
    return sum(images / bare_rate(net, pixels, settings, images) for net in nets)


def timed(command: str, folder: Path) -> tuple[float, list[str]]:
    """Return how many seconds a command takes, and the lines that it prints."""
    start = time.perf_counter()
    printed = shell(*command.split(), folder=folder)
    return time.perf_counter() - start, printed.splitlines()


def rows(lines: list[str], *wanted: str) -> list[str]:
    """Return those lines of a table of DVC's that hold a wanted text, without folders, and narrow."""
    shown = (line for line in lines if any(text in line for text in wanted))
    return [re.sub(r" {2,}", "  ", line.split("/")[-1]) for line in shown]


def shell(*command: str, folder: Path) -> str:
    variables = os.environ | {"PATH": PATH}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    main()
