"""Compare the metrics in the working tree with those of a git revision, within tolerances named per metric.

Prints the largest difference under each tolerance. Exits with 1 and names every metric that is too far off, missing
or new.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TOLERANCES = Path("reference/tolerances.yaml")
EQUAL = "(any other)"  # keys that no pattern fits must be equal


@dataclass(frozen=True)
class Comparison:
    """One metric, committed and reproduced; None where it is not there."""

    file: str
    key: str
    old: float | None
    new: float | None
    pattern: str
    tolerance: float

    @property
    def difference(self) -> float:
        """How far apart the two are; infinity where one is missing."""
        return float("inf") if self.old is None or self.new is None else abs(self.new - self.old)

    @property
    def passes(self) -> bool:
        """Whether the two agree within the tolerance."""
        return self.difference <= self.tolerance + 1e-9

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: committed {self.old}, reproduced {self.new}, tolerance {self.tolerance:g}"


def compare(differences: dict[str, Any], tolerances: dict[str, float]) -> list[Comparison]:
    """Return every metric in the output of `dvc metrics diff --all --json`, with the tolerance that fits its key.

    Args:
        differences: By file, by key, `old` and `new`.
        tolerances: By pattern of key, in the order in which patterns are tried.
    """
    results = []
    for file, keys in differences.items():
        for key, pair in keys.items():
            pattern = next((pattern for pattern in tolerances if fnmatchcase(key, pattern)), EQUAL)
            tolerance = tolerances.get(pattern, 0.0)
            results.append(Comparison(file, key, pair.get("old"), pair.get("new"), pattern, tolerance))
    return results


def metrics_diff(revision: str, folder: str) -> dict[str, Any]:
    """Return what `dvc metrics diff` says of the metrics files below `folder`."""
    command = ["dvc", "metrics", "diff", "--all", "--json", revision]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"error: {' '.join(command)} failed: {result.stderr.strip()}")
    every: dict[str, Any] = json.loads(result.stdout or "{}")
    return {file: keys for file, keys in every.items() if Path(file).is_relative_to(folder)}


def report(results: list[Comparison]) -> None:
    """Print the largest difference under each tolerance, then each metric that fails."""
    by_pattern = sorted(results, key=lambda result: result.pattern)
    for pattern, group in groupby(by_pattern, key=lambda result: result.pattern):
        members = list(group)
        worst = max(members, key=lambda result: result.difference)
        print(
            f"{pattern:<28} {len(members):>4} metrics, largest difference {worst.difference:g} of {worst.tolerance:g}"
        )
    failures = [result for result in results if not result.passes]
    for failure in failures:
        print(f"NOT REPRODUCED {failure}")
    print(f"reproduction check: {len(results) - len(failures)} metrics reproduced, {len(failures)} not")


def main() -> None:
    """Compare and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: dvc repro && python -m tools.check_reproduction --revision main"
    )
    parser.add_argument("--revision", default="HEAD", help="git revision with the metrics to agree with (HEAD)")
    parser.add_argument("--folder", default="metrics/phantom", help="metrics files to compare (metrics/phantom)")
    options = parser.parse_args()
    tolerances = YAML(typ="safe", pure=True).load(TOLERANCES)
    results = compare(metrics_diff(options.revision, options.folder), tolerances)
    if not results:
        sys.exit(f"error: no metrics below {options.folder} in {options.revision} and here; run `dvc repro` first")
    report(results)
    sys.exit(0 if all(result.passes for result in results) else 1)


if __name__ == "__main__":
    main()
