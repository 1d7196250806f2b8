"""The command `deepcovid`: a trained head on images of one's own, and the report.

predict.py   `deepcovid predict`: scores of images, with heat maps if wanted
show.py      `deepcovid show`: the report of a data set
check.py     `deepcovid check`: metrics beside those of a git revision, within tolerances
outputs.py   `deepcovid check --bytes`: every output beside the hash in dvc.lock
doctor.py    `deepcovid doctor`: what is installed, within reach, or damaged
dvc_files.py DVC's own files, and the command that mends one
docs.py      `deepcovid docs`: the README and the pages of docs, filled in from the results
inputs.py    what the user names on the command line: image files, folders of them, zips of them
pictures.py  the heat maps of `deepcovid predict --heatmap`

Options are read here; a command's module, which may import torch, is imported when it is asked for.
"""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from deepcovid import RESEARCH_ONLY
from deepcovid.errors import in_one_line

PREDICT = """\
examples:
  deepcovid predict chest.png --head data/phantom/heads/frozen/resnet18/paper.safetensors
  deepcovid predict ~/images more.zip --head resnet18-paper.safetensors --weights resnet18.safetensors --csv scores.csv
  deepcovid predict chest.dcm --head data/phantom/heads/frozen/resnet18/paper.safetensors --heatmap maps --stride 16
  deepcovid predict ~/images --head data/phantom/heads/frozen/resnet18/paper.safetensors --json | jq .results

exit status: 0, or 1 where a file could not be used (the others are scored) or nothing could be done, 2 for wrong
options. Score: P(covid) of the median head of the training; the range is over all heads.
"""
SHOW = """\
examples:
  deepcovid show
  deepcovid show phantom --no-browser
  deepcovid show covid-xray-5k --output report.html
"""
CHECK = """\
examples:
  deepcovid check                                       the results of phantom against the committed ones
  deepcovid check --revision main --dataset cohen-chexpert
  deepcovid check metrics/ eval.yaml --tolerances tolerances.yaml        in any project that git keeps

  deepcovid check --bytes                               every output in the workspace against dvc.lock, byte by byte

A tolerance file is YAML: patterns of metrics and how far each may lie from the other revision, the first that fits
decides. What no pattern fits must be equal; `any` asks only that the metric is there.

  "metrics/audits/*: auc*": 0.02
  "*p_value": any
  "*auc*": 0.005

exit status: 0 if every metric is reproduced, 1 if not or if nothing could be compared, 2 for wrong options.
"""
DOCTOR = """\
examples:
  deepcovid doctor
  DEEPCOVID_MIRROR=~/mirror deepcovid doctor

Run it in the project's folder. It changes nothing: it prints the command that mends what a kill left damaged.

exit status: 0 if nothing needs mending, 1 if something does, 2 for wrong options.
"""
DOCS = """\
examples:
  deepcovid docs
  deepcovid docs --check

Run it in the project's folder. It prints the pages that it changes, or, with --check, would change.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command `deepcovid` with `arguments`, by default the process's; return its exit status."""
    options = parser().parse_args(arguments)
    with in_one_line():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what the terminal's encoding does not
        getattr(stream, "reconfigure", lambda errors: None)(errors="backslashreplace")
    print(RESEARCH_ONLY, file=sys.stderr)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as in stages/__init__.py
    try:
        status: int = importlib.import_module(f"deepcovid.commands.{options.command}").run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has read enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def parser() -> argparse.ArgumentParser:
    """Return the options of every command."""
    whole = argparse.ArgumentParser(
        prog="deepcovid", description=f"Deep-COVID, rerun: use what the pipeline has left. {RESEARCH_ONLY}"
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, what: str, examples: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}. {RESEARCH_ONLY}",
            epilog=examples,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    _add_predict(command("predict", "score images with a trained head", PREDICT))
    _add_show(command("show", "open a data set's report in the browser, or write a copy of it", SHOW))
    _add_check(command("check", "compare metrics with those of a git revision", CHECK))
    command("doctor", "say what is installed, which data is within reach, and which of DVC's files are damaged", DOCTOR)
    docs = command("docs", "write the project's README and docs anew from its results", DOCS)
    docs.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    return whole


def _add_predict(predict: argparse.ArgumentParser) -> None:
    add = predict.add_argument
    add("images", nargs="+", type=Path, metavar="IMAGE-OR-FOLDER", help="PNG, JPEG, DICOM ...; a folder, or a .zip")
    add("--head", required=True, type=Path, metavar="FILE", help="data/DATASET/heads/frozen/NET/RECIPE.safetensors")
    add("--weights", type=Path, metavar="FILE", help="the net's; default: weights/NET.safetensors above the head")
    add("--heatmap", type=Path, metavar="DIR", help="write a picture an image of where its score comes from")
    # The limits are those of deepcovid/settings.py, which takes a while to import.
    sides = _number(1, 512)
    add("--window", type=sides, default=32, metavar="PIXELS", help="of a heat map: side of the grey window; default 32")
    add("--stride", type=sides, default=8, metavar="PIXELS", help="from one place of it to the next; default 8")
    add("--fill", type=_number(0, 255), default=128, metavar="GREY", help="its grey level, 0 to 255; default 128")
    add("--csv", type=Path, metavar="FILE", help="write the scores as a table too")
    add("--json", action="store_true", help="print one JSON document instead of a table")
    add(
        "--device",
        type=_device,
        default="auto",
        help="auto, cpu, cuda or cuda:N; default auto: CUDA where there is one",
    )
    add(
        "--batch-size",
        type=_number(1, 4096),
        default=32,
        metavar="IMAGES",
        help="through the net at a time; default 32",
    )


def _add_show(show: argparse.ArgumentParser) -> None:
    add = show.add_argument
    add("report", nargs="?", metavar="REPORT-OR-DATASET", help="default: the one below data/ in the current folder")
    add("--output", type=Path, metavar="FILE", help="write a copy there; open nothing")
    add("--no-browser", action="store_true", help="only print where the report is")


def _add_check(check: argparse.ArgumentParser) -> None:
    add = check.add_argument
    add("metrics", nargs="*", metavar="FILE-OR-FOLDER", help="metrics files; default: those of --dataset")
    add("--revision", default="HEAD", help="git revision with the metrics to agree with; default HEAD")
    add("--dataset", default="phantom", help="data set of this project whose results to compare; default phantom")
    add(
        "--tolerances",
        type=Path,
        default=Path("reference/tolerances.yaml"),
        metavar="FILE",
        help="how far metrics may lie; default reference/tolerances.yaml",
    )
    add("--bytes", action="store_true", help="compare no metrics, but every output with the hash in dvc.lock")


def _number(least: int, most: int) -> Callable[[str], int]:
    def checked(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return checked


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:(0|[1-9][0-9]?))?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, cpu, cuda, cuda:N")
    return text
