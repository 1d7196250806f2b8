"""`deepcovid test`: what a trained head reaches on a user's own images, with a page of it if wanted."""

import argparse
import sys
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd
from PIL import Image

from deepcovid.drawing.tables import rate, spread
from deepcovid.errors import UserError, printable
from deepcovid.files import replacing, write_csv
from deepcovid.progress import warn
from deepcovid.sources import folder

if TYPE_CHECKING:
    from deepcovid.commands.measure import Measured
    from deepcovid.statistics.rates import RunResult


def run(options: argparse.Namespace) -> int:
    """Test the head on the images; return 1 if some of them could not be used, else 0."""
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # such an image is put aside, in a line
    if options.output and (options.output.exists() or options.output.is_symlink()):
        raise UserError(f"--output {options.output}: is there already; name a new folder")
    with folder.labelled(options.images, options.table) as own:
        # What is wrong with the table is told at once; torch and the head take seconds.
        from deepcovid.commands.measure import measure
        from deepcovid.heads.prediction import load_head
        from deepcovid.report.own_images import caveats

        folder.warn_of_the_rest(own, options.images, options.table)
        head = load_head(options.head, options.weights, options.device, options.batch_size)
        print(head.about, file=sys.stderr)
        measured = measure(head, options.head, own, options.max_quarantined_share)
    result = measured.result
    for caveat in caveats(result):
        warn(printable(caveat))
    if options.output:
        _write(options, measured)
    print(*_lines(result.run), sep="\n")
    return 1 if result.put_aside else 0


def _write(options: argparse.Namespace, measured: "Measured") -> None:
    """Write the folder whole or not at all."""
    from deepcovid.commands.measure import BOOTSTRAP
    from deepcovid.report.own_images import page
    from deepcovid.statistics.curves import roc
    from deepcovid.statistics.estimate import write_result

    result, run, scores = measured
    command = f"deepcovid test {options.images} --table {options.table} --head {options.head}"
    text = page(result, run, BOOTSTRAP, command)
    aside = pd.DataFrame(result.put_aside.items(), columns=["file", "why"])
    with replacing(options.output) as partial:
        partial.mkdir()
        (partial / "report.html").write_text(text, encoding="utf-8")
        write_result(partial / "results.json", result)
        for name, table in (("scores", scores), ("roc", roc(run.positive, run.score)), ("put_aside", aside)):
            write_csv(partial / f"{name}.csv", table)
    warn(f"{options.output} names files and patients; keep it where the images themselves may be")


def _lines(run: "RunResult") -> Iterator[str]:
    """Yield what is read at a glance: the numbers, and the confusion matrix."""
    cells = run.confusion
    yield f"AUC          {spread(run.auc)}"
    yield f"sensitivity  {rate(run.sensitivity)}"
    yield f"specificity  {rate(run.specificity)}"
    yield ""
    yield f"{'':5}  {'called covid':>12}  {'called non':>10}"
    yield f"{'covid':5}  {cells.tp:>12,}  {cells.fn:>10,}"
    yield f"{'non':5}  {cells.fp:>12,}  {cells.tn:>10,}"
