"""Compare the results in the working tree with those of a git revision, within tolerances named per metric.

Every value of every JSON file in metrics/ and results/ counts; a list counts as one value. Prints the largest
difference under each tolerance. Exits with 1 and names every metric that is too far off, missing or new.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

TOLERANCES = Path("reference/tolerances.yaml")
FOLDERS = ("metrics/{}", "metrics/audits/{}", "results/{}")  # of a data set
EQUAL = "(any other)"  # keys that no pattern fits must be equal
MISSING = "(missing)"

Files = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Comparison:
    """One metric, committed and reproduced; MISSING where it is not there."""

    file: str
    key: str
    old: Any
    new: Any
    pattern: str
    tolerance: float

    @property
    def difference(self) -> float:
        """How far apart two numbers are; of anything else, 0 if equal and infinity if not."""
        if isinstance(self.old, int | float) and isinstance(self.new, int | float):
            return abs(self.new - self.old)
        return 0.0 if self.old == self.new else math.inf

    @property
    def passes(self) -> bool:
        """Whether both are there and agree within the tolerance."""
        return MISSING not in (self.old, self.new) and self.difference <= self.tolerance + 1e-9

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: committed {self.old}, reproduced {self.new}, tolerance {self.tolerance:g}"


def compare(old: Files, new: Files, tolerances: Mapping[str, float | str]) -> list[Comparison]:
    """Return every metric of two sets of files, with the tolerance that fits its key.

    Args:
        old: Values by file and by key, as `flat` gives them.
        new: The same.
        tolerances: By pattern of `key` or of `file: key`, in the order in which patterns are tried; `any` accepts every
            value.
    """
    results = []
    for file in sorted({*old, *new}):
        before, after = old.get(file, {}), new.get(file, {})
        for key in {**before, **after}:
            names = (key, f"{file}: {key}")
            pattern = next(
                (pattern for pattern in tolerances if any(fnmatchcase(name, pattern) for name in names)), EQUAL
            )
            allowed = tolerances.get(pattern, 0.0)
            tolerance = math.inf if allowed == "any" else float(allowed)
            results.append(Comparison(file, key, before.get(key, MISSING), after.get(key, MISSING), pattern, tolerance))
    return results


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return nested dicts as one dict by dotted path. A list is one value: what moves apart from others has a name."""
    if not isinstance(value, dict):
        return {path: value}
    parts = (flat(part, f"{path}.{name}" if path else name) for name, part in value.items())
    return {key: leaf for part in parts for key, leaf in part.items()}


def committed(revision: str, folders: Sequence[str]) -> Files:
    """Return the files of results below `folders` as a git revision has them."""
    names = git("ls-tree", "-r", "--name-only", revision, "--", *folders).splitlines()
    return {name: flat(json.loads(git("show", f"{revision}:./{name}"))) for name in names if name.endswith(".json")}


def reproduced(folders: Sequence[str]) -> Files:
    """Return the files of results below `folders` as they are now."""
    paths = [path for folder in folders for path in sorted(Path(folder).rglob("*.json"))]
    return {path.as_posix(): flat(json.loads(path.read_text(encoding="utf-8"))) for path in paths}


def git(*arguments: str) -> str:
    """Return what a git command prints."""
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"error: git {' '.join(arguments)} failed: {result.stderr.strip()}")
    return result.stdout


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
    parser.add_argument("--revision", default="HEAD", help="git revision with the results to agree with (HEAD)")
    parser.add_argument("--dataset", default="phantom", help="data set whose results to compare (phantom)")
    options = parser.parse_args()
    tolerances = YAML(typ="safe", pure=True).load(TOLERANCES)
    folders = [folder.format(options.dataset) for folder in FOLDERS]
    results = compare(committed(options.revision, folders), reproduced(folders), tolerances)
    if not results:
        sys.exit(f"error: no results of {options.dataset} in {options.revision} and here; run `dvc repro` first")
    report(results)
    sys.exit(0 if all(result.passes for result in results) else 1)


if __name__ == "__main__":
    main()
