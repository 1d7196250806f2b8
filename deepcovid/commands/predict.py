"""`deepcovid predict`: scores of images, with heat maps if wanted."""

import argparse
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pandas as pd
from PIL import Image

from deepcovid import RESEARCH_ONLY
from deepcovid.commands.inputs import Input, listed
from deepcovid.errors import UserError, cause, printable
from deepcovid.files import write_csv
from deepcovid.heads.prediction import Head, attempts, load_head, weights_near
from deepcovid.heatmaps.occlusion import Window, check_window
from deepcovid.images.decoding import Pixels
from deepcovid.progress import bar, warn


def run(options: argparse.Namespace) -> int:
    """Score the images; return 1 if one of them could not be used, else 0."""
    # Such an image is refused, in a line; and letters that a picture's font has not are drawn as boxes.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    _check_outputs(options)
    with ExitStack() as stack:
        inputs, failures = listed(options.images, stack)
        if not inputs:
            raise UserError("no image to score: " + "; ".join(f"{name}: {why}" for name, why in failures.items()))
        _check_inputs_are_kept(options, inputs, options.weights)
        head = load_head(options.head, options.weights, options.device, options.batch_size)
        _check_inputs_are_kept(options, inputs, weights_near(options.head, head.model))  # known only now
        side = options.window or default_window(head.image_size, options.stride)
        window = Window(side, options.stride, options.fill)
        check_window(window, head.image_size, head.image_size)
        print(head.about, file=sys.stderr)
        if options.heatmap:
            from deepcovid.commands.pictures import announcement  # captum and matplotlib take half a second

            print(announcement(head, window, len(inputs)), file=sys.stderr)
            warn(f"the pictures in {options.heatmap} show the patients; keep them where the images themselves may be")
        results = _scored(head, inputs, failures, window, options.heatmap)
    notice = f"{RESEARCH_ONLY} {head.about}"
    if options.csv and len(results):
        try:
            write_csv(options.csv, results.assign(notice=notice))
        except OSError as error:  # the scores are printed all the same
            failures[printable(str(options.csv))] = f"not written: {cause(error)}"
    if options.json:
        document = {"notice": notice} | _document(head, results, failures)
        print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
    elif len(results):
        print(*_lines(results), sep="\n")
    sys.stdout.flush()
    if failures:
        nothing = "" if len(results) else "error: nothing was scored; "
        print(f"{nothing}{len(failures)} could not be used:", file=sys.stderr)
        for name, why in failures.items():
            print(f"  {name}: {why}", file=sys.stderr)
    if len(results):
        print(_summed_up(results, len(failures)), file=sys.stderr)
    return 1 if failures else 0


def default_window(image_size: int, stride: int) -> int:
    """Return the window's side for heads of `image_size`, in pixels: the share of the image that 32 is of 224.

    It is rounded up to a multiple of the stride, so that every pixel is covered as often as its neighbours.
    """
    return min(-(-32 * image_size // (224 * stride)) * stride, image_size)


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise UserError if a file to be written could not be, before anything is scored."""
    if options.csv and options.csv.is_dir():
        raise UserError(f"--csv {options.csv}: is a folder; name a file")
    if options.csv and options.csv.exists() and not options.csv.is_file():
        raise UserError(f"--csv {options.csv}: is no ordinary file; name one, or take --json from standard output")
    if options.heatmap and options.heatmap.exists() and not options.heatmap.is_dir():
        raise UserError(f"--heatmap {options.heatmap}: is a file; name a folder")
    folders = {"--csv": options.csv and options.csv.absolute().parent, "--heatmap": options.heatmap}
    for option, folder in folders.items():
        if folder:
            there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
            try:
                tempfile.TemporaryFile(dir=there).close()
            except OSError as error:
                raise UserError(f"{option}: {there} cannot be written to: {cause(error)}") from None
    for option, output in {"--csv": options.csv, "--heatmap": options.heatmap}.items():
        for path in options.images if output else []:
            # Path.is_dir raises an error where a folder above is closed; what is wrong with an image is told later.
            inside = Path(os.path.realpath(output)).is_relative_to(os.path.realpath(path))
            if os.path.isdir(path) and inside:  # noqa: PTH112
                raise UserError(
                    f"{option} {output}: lies in {path}, whose files are scored, and would be among them the next "
                    "time; name a place outside"
                )


def _check_inputs_are_kept(options: argparse.Namespace, inputs: list[Input], weights: Path | None) -> None:
    """Raise UserError if a file to be written is one that is read."""
    pictures = [options.heatmap / given.picture for given in inputs] if options.heatmap else []
    read = {os.path.realpath(path) for path in (options.head, weights, *(given.file for given in inputs)) if path}
    for option, outputs in {"--csv": [options.csv] if options.csv else [], "--heatmap": pictures}.items():
        for output in outputs:
            if os.path.realpath(output) in read:
                raise UserError(f"{option}: {output} is read here and would be overwritten; name another place")


def _scored(
    head: Head, inputs: list[Input], failures: dict[str, str], window: Window, folder: Path | None
) -> pd.DataFrame:
    """Return a row per image that can be used; write heat maps into `folder`; put what cannot be used in `failures`."""
    if folder:
        from deepcovid.commands.pictures import write_heatmaps

    tables = []
    waiting = iter(inputs)
    with ExitStack() as stack:
        # Two bars at a time would write into each other's lines, and heat maps, which take longer, have their own.
        progress = None if folder else stack.enter_context(bar("scoring", total=len(inputs)))
        decoding = (partial(_decoded, head, given) for given in inputs)
        for number, batch in enumerate(attempts(decoding, head.batch_size)):
            named = [(next(waiting), attempt) for attempt in batch]
            failures |= {given.name: cause(error) for given, error in named if isinstance(error, Exception)}
            usable = [(given, pixels) for given, pixels in named if not isinstance(pixels, Exception)]
            if folder:
                start = number * head.batch_size
                print(f"images {start + 1:,} to {start + len(batch):,} of {len(inputs):,}", file=sys.stderr)
            if usable:
                rows = head.predict_pixels([pixels for _, pixels in usable])
                rows.insert(0, "file", [given.name for given, _ in usable])
                tables.append(rows.assign(threshold=head.threshold))
                if folder:
                    failures |= write_heatmaps(folder, head, usable, rows, window)
            if progress is not None:
                progress.update(len(batch))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _decoded(head: Head, given: Input) -> Pixels:
    return head.decode(given.read())


def _lines(results: pd.DataFrame) -> Iterable[str]:
    """Return the table to read, its columns aligned."""
    cells = [["file", "score", "called", "seeds", ""]]
    for row in results.to_dict("records"):
        seeds = f"{row['score_min']:.3f} to {row['score_max']:.3f}"
        far = f"unlike the training images: distance {row['distance']:.4g}, threshold {row['threshold']:.4g}"
        cells.append([row["file"], f"{row['score']:.3f}", row["called"], seeds, far if row["unlike"] else ""])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def _summed_up(results: pd.DataFrame, failures: int) -> str:
    """Return what was done, in a line."""
    called = (results["called"] == "covid").sum()
    return (
        f"{len(results):,} scored: {called:,} called covid, {len(results) - called:,} called non; "
        f"{results['unlike'].sum():,} unlike the training images; {failures:,} could not be used"
    )


def _document(head: Head, results: pd.DataFrame, failures: dict[str, str]) -> dict[str, object]:
    return {
        "head": head.facts,
        "results": results.drop(columns="threshold", errors="ignore").to_dict("records"),
        "failures": [{"file": name, "reason": why} for name, why in failures.items()],
    }
