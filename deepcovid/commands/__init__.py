"""The command `deepcovid`: a trained head on images of one's own, and the report.

predict.py   `deepcovid predict`: scores of images, with heat maps if wanted
test.py      `deepcovid test`: what a head reaches on images and labels of one's own
measure.py   how that is measured
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
from typing import Any

import shtab

from deepcovid import RESEARCH_ONLY, __version__
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
TEST = """\
examples:
  deepcovid test ~/ward3 --table ~/ward3.csv --head data/phantom/heads/frozen/resnet18/paper.safetensors
  deepcovid test ~/ward3.zip --table ~/ward3.csv --head resnet18-paper.safetensors --weights resnet18.safetensors
  deepcovid test ~/ward3 --table ~/ward3.csv --head data/phantom/heads/frozen/resnet18/paper.safetensors -o tested

The table is a CSV. It needs the columns file, a path from the folder of images, and label, covid or non. It may have
finding, view and patient. Images of one patient belong together, so with that column the intervals are right.

The folder of --output gets a page (report.html), the numbers (results.json), a row an image (scores.csv), the ROC curve
(roc.csv), and the images that could not be used (put_aside.csv).

exit status: 0, or 1 where an image could not be used (the others are tested) or nothing could be done, 2 for wrong
options.
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


WHOLE = """\
examples:
  deepcovid predict chest.png --head data/phantom/heads/frozen/resnet18/paper.safetensors
  deepcovid test ~/ward3 --table ~/ward3.csv --head data/phantom/heads/frozen/resnet18/paper.safetensors -o tested
  deepcovid show phantom
  eval "$(deepcovid --print-completion bash)"           the Tab key then completes commands and options; zsh likewise

`deepcovid COMMAND --help` explains a command.
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
        prog="deepcovid",
        description=f"Deep-COVID, rerun: use what the pipeline has left. {RESEARCH_ONLY}",
        epilog=WHOLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    shtab.add_argument_to(whole, help="print the completion of this command for a shell, and exit")
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
    _add_test(command("test", "test a trained head on images and labels of your own", TEST))
    _add_show(command("show", "open a data set's report in the browser, or write a copy of it", SHOW))
    _add_check(command("check", "compare metrics with those of a git revision", CHECK))
    command("doctor", "say what is installed, which data is within reach, and which of DVC's files are damaged", DOCTOR)
    docs = command("docs", "write the project's README and docs again from its results", DOCS)
    docs.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is out of date")
    return whole


def _add_predict(predict: argparse.ArgumentParser) -> None:
    add = _adding(predict)
    add("images", nargs="+", type=Path, metavar="IMAGE-OR-FOLDER", help="PNG, JPEG, DICOM ...; a folder, or a .zip")
    _add_head(predict)
    add("--heatmap", type=Path, metavar="DIR", help="write a picture an image of where its score comes from")
    # The limits are those of deepcovid/settings/datasets.py, which takes a while to import.
    sides = _number(1, 512)
    add(
        "--window",
        type=sides,
        metavar="PIXELS",
        help="of a heat map: side of the grey window; default: 32/224 of the head's image size, rounded up to a "
        "multiple of the stride",
    )
    add("--stride", type=sides, default=8, metavar="PIXELS", help="from one place of it to the next; default 8")
    add("--fill", type=_number(0, 255), default=128, metavar="GREY", help="its grey level, 0 to 255; default 128")
    add("--csv", type=Path, metavar="FILE", help="write the scores as a table too")
    add("--json", action="store_true", help="print one JSON document instead of a table")


def _add_test(test: argparse.ArgumentParser) -> None:
    add = _adding(test)
    add("images", type=Path, metavar="IMAGES", help="a folder or a .zip of PNG, JPEG, DICOM ...")
    add("--table", required=True, type=Path, metavar="FILE", help="a CSV with the columns file and label")
    _add_head(test)
    add("-o", "--output", type=Path, metavar="FOLDER", help="write a page, scores and curves into this new folder")
    add(
        "--max-quarantined-share",
        type=_share,
        default=0.05,
        metavar="SHARE",
        help="stop where a larger share of the images cannot be used; default 0.05",
    )


def _add_head(command: argparse.ArgumentParser) -> None:
    add = _adding(command)
    add("--head", required=True, type=Path, metavar="FILE", help="data/DATASET/heads/frozen/NET/RECIPE.safetensors")
    add("--weights", type=Path, metavar="FILE", help="the net's; default: weights/NET.safetensors above the head")
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
    add = _adding(show)
    add("report", nargs="?", metavar="REPORT-OR-DATASET", help="default: the one below data/ in the current folder")
    add("--output", type=Path, metavar="FILE", help="write a copy there; open nothing")
    add("--no-browser", action="store_true", help="only print where the report is")


def _add_check(check: argparse.ArgumentParser) -> None:
    add = _adding(check)
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
    add("--since", type=Path, metavar="FILE", help="name the metrics files older than FILE: this run did not make them")
    add("--bytes", action="store_true", help="compare no metrics, but every output with the hash in dvc.lock")


def _adding(command: argparse.ArgumentParser) -> Callable[..., None]:
    """Return the command's `add_argument`, with which shells complete paths."""

    def add(*names: str, **options: Any) -> None:
        action = command.add_argument(*names, **options)
        if options.get("type") is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]

    return add


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return share


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
