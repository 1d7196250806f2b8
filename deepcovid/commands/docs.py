"""`deepcovid docs`: the pages of the project's README and docs, filled in from its results."""

import argparse
import sys
from pathlib import Path
from typing import Any

from deepcovid.errors import UserError
from deepcovid.files import replacing
from deepcovid.report.pages import pages
from deepcovid.report.results import Results
from deepcovid.schema import read_yaml

TEMPLATES = Path("docs/templates")
RESULTS = Path("results")
# Values that pages name beside the results.
FACTS = {
    "params": Path("params.yaml"),
    "reported": Path("reference/published.yaml"),
    "plan": Path("reference/plan.yaml"),
}
MEASURED = Path("benchmarks/results")  # what the benchmarks wrote


def run(options: argparse.Namespace) -> int:
    """Write the pages, or only compare them; return 1 if one is not as it would be written."""
    if not TEMPLATES.is_dir():
        raise UserError(f"{TEMPLATES}: no such folder; run this in the project's folder")
    made = dict(pages(TEMPLATES, Results(RESULTS), facts()))
    old = [path for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in old:
        if not options.check:
            with replacing(path) as partial:
                partial.write_text(made[path], encoding="utf-8")
        print(path)
    if options.check and old:
        print("these pages are not what the results say; run `deepcovid docs`", file=sys.stderr)
        return 1
    return 0


def facts() -> dict[str, Any]:
    """Return the values that pages name beside the results."""
    measured = {path.stem: read_yaml(path) for path in sorted(MEASURED.glob("*.json"))}
    return {name: read_yaml(path) for name, path in FACTS.items()} | {"measured": measured}
