"""Kill the pipeline, damage its files and feed it mutated inputs; count how it ends, by kind of attack.

    python -m benchmarks.attack [--record]
    python -m benchmarks.attack --inputs 2000 --kills 0 --dvc 0 --outputs 0 --seed 7
    python -m benchmarks.attack --repeat inputs:1234

`make attack` runs and records it. It ends with 1 if a try ended in a traceback or was accepted wrongly, each of which
is printed with what repeats it. By hand only.
"""

import os
import sys

# Before torch is loaded: a process that is forked has no use for threads that its parent had.
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import chdir
from pathlib import Path

from benchmarks._record import record
from benchmarks.attack import dvc_files, inputs, kills, outputs
from benchmarks.attack.study import WAIT, Study
from benchmarks.attack.tries import OUTCOMES, TRACEBACK, WRONG, Part, Result
from deepcovid.errors import in_one_line
from deepcovid.progress import bar
from tests.checkouts import ROOT

COUNTS = {"kills": 200, "dvc": 50, "inputs": 10_000, "outputs": 300}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in COUNTS.items():
        parser.add_argument(f"--{name}", type=int, default=count, metavar="N", help=f"tries; default {count}")
    parser.add_argument("--seed", type=int, default=0, help="of the tries; default 0")
    parser.add_argument("--minutes", type=float, default=90, help="no try is begun later than this; default 90")
    parser.add_argument("--repeat", metavar="PART:NUMBER", help="make this try alone, and say how it ended")
    parser.add_argument("--record", action="store_true", help="keep the numbers in benchmarks/results")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    failed = 0
    with tempfile.TemporaryDirectory(prefix="attack-") as name, chdir(name), in_one_line():
        attacked = Attacked(Path(name).resolve())
        if options.repeat:
            part, _, number = options.repeat.partition(":")
            print(next(attacked.part(part).results(options.seed, [int(number)])))
            return 0
        for part in COUNTS:
            start, count = time.monotonic(), getattr(options, part)
            kinds = counted(tries(attacked, part, count, options.seed, end)) if count else {}
            for kind, ends in kinds.items():
                print(f"{part:<8} {kind:<40}", *(f"{ends[outcome]} {outcome}" for outcome in OUTCOMES), flush=True)
                failed += ends[TRACEBACK] + ends[WRONG]
            if options.record and count:
                minutes = (time.monotonic() - start) / 60
                record("attack", {part: {"seed": options.seed, "minutes": minutes, "kinds": kinds}})
    return int(failed > 0)


class Attacked:
    """What is attacked, in a temporary folder; the study is made when a part first needs it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.study = folder, None
        for place in ("tmp", "inputs", "dvc"):
            (folder / place).mkdir()
        # Nothing is written elsewhere: no temporary file of a killed process, no list or setting of DVC's.
        own = dict.fromkeys(("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"), "dvc")
        os.environ |= {name: str(folder / place) for name, place in (own | {"TMPDIR": "tmp"}).items()}
        os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # no processes of a stage's own, which would outlive it
        tempfile.tempdir = None  # TMPDIR is read again

    def part(self, name: str) -> Part:
        """Return the attacks of a part."""
        if name == "inputs":
            return Part(name, inputs.attacks(self.folder / "inputs", ROOT), seconds=10)
        self.study = self.study or Study(self.folder / "study")
        if name == "outputs":
            return Part(name, outputs.attacks(self.study), seconds=10)
        make = {"kills": kills.attacks, "dvc": dvc_files.attacks}[name]
        return Part(name, make(self.study), seconds=WAIT, apart=False)


def tries(attacked: Attacked, name: str, count: int, seed: int, end: float) -> Iterator[Result]:
    """Make the tries of a part until `end`, and print those that failed."""
    with bar(name, total=count, unit="tries") as progress:
        for result in attacked.part(name).results(seed, range(count)):
            progress.update()
            if result.outcome in (TRACEBACK, WRONG):
                progress.write(
                    f"{result.outcome}: {result.kind}: {result.said}\n"
                    f"    python -m benchmarks.attack --seed {seed} --repeat {name}:{result.number}"
                )
            yield result
            if time.monotonic() > end:
                return


def counted(results: Iterable[Result]) -> dict[str, dict[str, int]]:
    """Return how many tries ended in which way, by kind."""
    kinds: dict[str, dict[str, int]] = {}
    for result in results:
        kinds.setdefault(result.kind, dict.fromkeys(OUTCOMES, 0))[result.outcome] += 1
    return kinds


if __name__ == "__main__":
    sys.exit(main())
