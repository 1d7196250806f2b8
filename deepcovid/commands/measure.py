"""What a trained head reaches on a user's own images."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import RESEARCH_ONLY, catalogue
from deepcovid.audits.unseen import check_images, left_out, trained_on
from deepcovid.errors import cause
from deepcovid.heads.prediction import Head, attempts, weights_near
from deepcovid.heads.scoring import score_table
from deepcovid.images.decoding import Pixels, check_quarantine
from deepcovid.progress import bar
from deepcovid.report.contents import MeasuredRun
from deepcovid.report.own_images import OwnImages
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.sources import folder
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.rates import evaluate

BOOTSTRAP = EvaluateSettings(bootstrap_samples=2000, bootstrap_seed=95)  # that of params.yaml, as a test checks


class Measured(NamedTuple):
    """What a head reaches.

    Attributes:
        result: The numbers.
        run: The scores of the head that is shown, to be drawn.
        scores: A row an image that counts, with what is known of it and what the heads say.
    """

    result: OwnImages
    run: MeasuredRun
    scores: pd.DataFrame


def measure(head: Head, path: Path, own: folder.Labelled, max_share: float) -> Measured:
    """Score images and measure the scores, as the stages augment, external_features and evaluate do.

    Args:
        head: The head.
        path: Its file. Images that it was trained on do not count, if the pipeline's list of them is near.
        own: The images.
        max_share: It is an error if a larger share of the images cannot be used.

    Raises:
        UserError: Too many images cannot be used, or those that count are of one class only.
    """
    rows = catalogue.checked(folder.rows(own.table, own.read), "folder")
    scores, distances, quarantined = _scored(head, own, rows["image_id"])
    check_quarantine(quarantined, len(rows), max_share)
    rows = rows[~rows["image_id"].isin(quarantined)].reset_index(drop=True)
    listed = weights_near(path, head.model).parent.parent / "images.csv"  # where the pipeline leaves it
    known = listed.is_file()
    train = catalogue.read(listed) if known else rows.assign(split="not known")
    seen = trained_on(rows, train[catalogue.in_training(train, augmented=True)])
    left = ~seen.any(axis=1).to_numpy()
    check_images(rows[left], left_out(seen), str(own.found.path))

    rows, scores, distances = rows[left].reset_index(drop=True), scores[left], distances[left]
    bootstrap, shown = Bootstrap.of(rows, BOOTSTRAP), head.file.shown
    predicted = head.predicted(scores, distances)
    notice = f"{RESEARCH_ONLY} {head.about}"
    result = OwnImages(
        notice=notice,
        head=head.facts,
        images=own.found.path.resolve().name,
        run=evaluate(scores, bootstrap, head.cut_off, shown=shown),
        patients=Counts(covid=bootstrap.patients[0], non=bootstrap.patients[1]),
        without_patient=int((rows["patient_id"] == "").sum()),
        unlike=int(predicted["unlike"].sum()),
        put_aside=quarantined,
        left_out=left_out(seen) if known else None,
    )
    drawn = score_table(rows, scores[:, [shown]], [f"seed_{head.seeds[shown]}"])
    table = rows[["image_id", "label", "finding", "view", "patient_id"]].rename(columns={"image_id": "file"})
    table = table.join(predicted).assign(threshold=head.threshold, notice=notice)
    return Measured(result, MeasuredRun(head.model, head.recipe, head.cut_off, drawn, result.run), table)


def _scored(
    head: Head, own: folder.Labelled, files: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.float64], dict[str, str]]:
    """Return P(covid) (images, heads) and distances (images) of those that can be used, and why others cannot be."""
    quarantined: dict[str, str] = {}
    batches = [(np.empty((0, len(head.seeds))), np.empty(0))]
    waiting = iter(files)
    with bar("scoring", total=len(files)) as progress:
        for batch in attempts((partial(_decoded, head, own, file) for file in files), head.batch_size):
            named = [(next(waiting), attempt) for attempt in batch]
            quarantined |= {file: cause(error) for file, error in named if isinstance(error, Exception)}
            usable = [pixels for pixels in batch if not isinstance(pixels, Exception)]
            if usable:
                batches.append(head.measured(usable))
            progress.update(len(batch))
    scores, distances = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return scores, distances, quarantined


def _decoded(head: Head, own: folder.Labelled, file: str) -> Pixels:
    return head.decode(own.read(file))
