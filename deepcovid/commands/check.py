"""`deepcovid check`: metrics in the working tree beside those of a git revision, within tolerances named per metric.

Every value of every metrics file counts; a list counts as one value. It prints the largest difference under each
tolerance, and names every metric that is too far off, missing or new. A line says how many files the run did not make.
"""

import argparse
import json
import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from deepcovid.errors import UserError, reason_of
from deepcovid.schema import BAD_VALUE, read_yaml

ENDINGS = (".json", ".yaml", ".yml")
FOLDERS = ("metrics/{}", "metrics/audits/{}", "results/{}")  # of a data set
EQUAL = "(any other)"  # keys that no pattern fits must be equal
MISSING = "(missing)"
NAMED = 5  # files that were not made by this run; the others are counted

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


def read_tolerances(path: Path) -> dict[str, float | str]:
    """Return how far metrics may lie, by pattern, as the file at `path` says.

    Raises:
        UserError: It is no YAML, or something else than patterns with a number or `any`.
    """
    values = read_yaml(path) or {}
    if not isinstance(values, dict):
        raise UserError(f"{path}: no table; write a pattern and how far it may lie, a line each")
    for pattern, value in values.items():
        if not isinstance(pattern, str) or (value != "any" and type(value) not in (int, float)):
            raise UserError(f"{path}: {pattern}: {value}; write a pattern in quotes, and a number or `any`")
    return values


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return nested dicts as one dict by dotted path. A list is one value: what moves apart from others has a name."""
    if not isinstance(value, dict):
        return {path: value}
    parts = (flat(part, f"{path}.{name}" if path else name) for name, part in value.items())
    return {key: leaf for part in parts for key, leaf in part.items()}


def committed(revision: str, places: Sequence[str]) -> Files:
    """Return the metrics files at or below `places` as a git revision has them.

    Raises:
        UserError: There is no such revision, or a file holds something else.
    """
    names = git("ls-tree", "-r", "-z", "--name-only", revision, "--", *places).split("\0")
    return {name: read(git("show", f"{revision}:./{name}"), f"{revision}:{name}") for name in names if is_metrics(name)}


def reproduced(places: Sequence[str]) -> Files:
    """Return the metrics files at or below `places` as they are now."""
    roots = [Path(place) for place in places]
    paths = [path for root in roots for path in ([root] if root.is_file() else sorted(root.rglob("*")))]
    return {path.as_posix(): read(path.read_text("utf-8"), str(path)) for path in paths if is_metrics(path.name)}


def is_metrics(name: str) -> bool:
    """Return whether a file may hold metrics."""
    return name.endswith(ENDINGS)


def read(text: str, origin: str) -> dict[str, Any]:
    """Return the values of a metrics file, JSON or YAML, by dotted key.

    Raises:
        UserError: It holds something else.
    """
    try:
        values = json.loads(text) if origin.endswith(".json") else YAML(typ="safe", pure=True).load(text)
    except (YAMLError, *BAD_VALUE) as error:
        raise UserError(f"{origin}: no metrics ({reason_of(error)})") from None
    if not isinstance(values, dict):
        raise UserError(f"{origin}: no metrics: not names with values")
    return flat(values)


def git(*arguments: str) -> str:
    """Return what a git command prints.

    Raises:
        UserError: It fails.
    """
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("git is not installed, so that there is nothing to compare with") from None
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


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


def not_made(old: Files, new: Files, revision: str, since: Path | None) -> str:
    """Return, in a line, which files this run did not make, or what is known of that.

    A stage that DVC skips leaves its committed results, which are then compared with themselves.

    Args:
        old: Values by file, as the revision has them.
        new: The same, as they are now.
        revision: The revision.
        since: A file that was written just before the run; None where nobody noted when it began.

    Raises:
        UserError: `since` cannot be read.
    """
    if since is None:
        equal = sum(old.get(file) == values for file, values in new.items())
        return (
            f"{equal} of {len(new)} files equal those of {revision}: they were made again, or DVC skipped their stage "
            "and they are compared with themselves"
        )
    try:
        start = since.stat().st_mtime_ns
    except OSError as error:
        raise UserError(f"--since {since}: {reason_of(error)}; name a file that was written before the run") from None
    left = [file for file in new if Path(file).stat().st_mtime_ns < start]
    if not left:
        return f"all {len(new)} files were made by this run"
    named = ", ".join(left[:NAMED]) + (f" and {len(left) - NAMED} more" if len(left) > NAMED else "")
    return (
        f"{len(left)} of {len(new)} files were not made by this run, as DVC skipped their stages; they are compared "
        f"with themselves: {named}"
    )


def run(options: argparse.Namespace) -> int:
    """Compare and report; return 1 if a metric is too far off, missing or new, or if an output is not as recorded."""
    if options.bytes:
        from deepcovid.commands import outputs  # it imports DVC, which takes a second

        if options.metrics:
            raise UserError("--bytes: compares every output of the pipeline; name no files or folders with it")
        return outputs.compare()
    places = [os.path.relpath(place) for place in options.metrics]
    places = places or [folder.format(options.dataset) for folder in FOLDERS]
    if not options.tolerances.is_file():
        raise UserError(f"--tolerances {options.tolerances}: no such file; name one that says how far metrics may lie")
    tolerances = read_tolerances(options.tolerances)
    old, new = committed(options.revision, places), reproduced(places)
    for place in places if options.metrics else []:
        if not any(Path(name).is_relative_to(place) for name in {*old, *new}):
            raise UserError(
                f"{place}: no metrics in {options.revision}, and none here; they end in {', '.join(ENDINGS)}"
            )
    results = compare(old, new, tolerances)
    if not results:
        raise UserError(f"{', '.join(places)}: no metrics in {options.revision}, and none here; run `dvc repro` first")
    print(not_made(old, new, options.revision, options.since))
    report(results)
    return 0 if all(result.passes for result in results) else 1
