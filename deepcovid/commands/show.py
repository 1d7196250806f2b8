"""`deepcovid show`: the report of a data set, in the browser or as a copy."""

import argparse
import shutil
import sys
import webbrowser
from pathlib import Path

from deepcovid.errors import UserError
from deepcovid.files import replacing

DATA = Path("data")
REPORT = "report.html"


def run(options: argparse.Namespace) -> int:
    """Open or copy the report, and print where it is; return 0."""
    report = _found(options.report)
    if options.output:
        if options.output.is_dir():
            raise UserError(f"--output {options.output}: is a folder; name a file")
        if options.output.exists() and not options.output.is_file():
            raise UserError(f"--output {options.output}: is no ordinary file; name one")
        if options.output.suffix.lower() not in (".html", ".htm"):
            raise UserError(f"--output {options.output}: a report is a page; name a file that ends in .html")
        with replacing(options.output) as partial:
            shutil.copyfile(report, partial)
        print(options.output)
        return 0
    print(report)
    if not options.no_browser and not webbrowser.open(report.resolve().as_uri()):
        print("no browser was found; open the file where there is one", file=sys.stderr)
    return 0


def _found(name: str | None) -> Path:
    """Return the report that the user means.

    Raises:
        UserError: There is none, or there are several to choose from.
    """
    if name:
        candidates = [Path(name), DATA / name / REPORT]
        found = [path for path in candidates if path.is_file()]
        if not found:
            raise UserError(
                f"{name}: no such report, nor {candidates[1]}; make it with `dvc repro`, in the project's folder"
            )
        return found[0]
    found = sorted(DATA.glob(f"*/{REPORT}"))
    if not found:
        raise UserError(f"{DATA}/*/{REPORT}: no report here; make one with `dvc repro`, in the project's folder")
    if len(found) > 1:
        raise UserError(f"there are several reports; name one of {', '.join(path.parent.name for path in found)}")
    return found[0]
