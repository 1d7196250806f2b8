"""Tests the heads of a data set, with their cut-offs, on the test images of another data set."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.audits.external import Collections, External, ExternalRun, Outside
from deepcovid.audits.unseen import check_images, left_out, trained_on
from deepcovid.errors import UserError
from deepcovid.heads.head_files import HeadFile, check_weights, read_head
from deepcovid.heads.scoring import score, score_table
from deepcovid.parameters import Parameters, RunParameters
from deepcovid.passes.forked import at_once
from deepcovid.statistics.rates import RunResult
from deepcovid.statistics.review import Review, prior, review
from deepcovid.statistics.runs import Run
from stages import paths
from stages._features import read_external, read_external_features

Scores = NDArray[np.float64]


class Elsewhere(NamedTuple):
    """What the heads reach on other people's images.

    Attributes:
        external: The audit.
        review: What a reviewer asks for of these images.
        scores: The score table of each net's shown head, under the recipe of the audits.
    """

    external: External
    review: Review
    scores: dict[str, pd.DataFrame]


def external(
    parameters: Parameters,
    own: tuple[str, pd.DataFrame],
    images: str,
    runs: Mapping[str, Run],
    inside: Mapping[str, RunResult],
) -> Elsewhere:
    """Test the heads of a data set on other people's images.

    Args:
        parameters: What the data set runs with.
        own: Its name and its catalogue.
        images: The test set's name.
        runs: The data set's runs.
        inside: What they reach on their own test images.

    Raises:
        UserError: The images have one class only, the heads were trained on all of them, or a file is damaged.
    """
    dataset, table = own
    test = read_external(dataset, images)
    seen = trained_on(test, table[catalogue.in_training(table, augmented=True)])
    left = ~seen.any(axis=1).to_numpy()
    rows = test[left].reset_index(drop=True)
    check_images(rows, left_out(seen), f"test_sets: {images}")
    told = parameters.audit.recipe
    own_test = runs[f"{parameters.models[0]}-{told}"].scores
    own_test = own_test.assign(finding=own_test["image_id"].map(table.set_index("image_id")["finding"]).fillna(""))
    at_home = trained_on(rows, table[catalogue.in_test(table)])["same_image"].to_numpy()
    outside = Outside(rows, own_test, at_home, parameters.evaluate)
    collections = Collections(rows, own_test, parameters.evaluate)
    features = {model: read_external_features(dataset, images, model, len(test)) for model in parameters.models}

    def tested(name: str, run: RunParameters) -> tuple[ExternalRun, HeadFile, Scores]:
        file, bins = paths.head(dataset, run), parameters.audit.calibration_bins
        head = read_head(file, (dataset, run.model, run.recipe))
        check_weights(file, head, paths.weights(dataset, run.model))
        try:
            scores = score(features[run.model][left], head.weight, head.bias)
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
        shown, at_home_score = head.shown, runs[name].score
        apart = collections.told_apart(scores[:, shown], at_home_score)
        reached = outside.reached(scores, at_home_score, shown, head.choices.cut_off, bins, inside[name].auc, apart)
        return reached, head, scores[:, shown]

    done = at_once([partial(tested, name, run) for name, run in parameters.frozen_runs.items()])
    nets: dict[str, dict[str, ExternalRun]] = {model: {} for model in parameters.models}
    shown_scores, tables = {}, {}
    for run, (reached, head, shown_score) in zip(parameters.frozen_runs.values(), done, strict=True):
        nets[run.model][run.recipe] = reached
        if run.recipe == told:
            shown_scores[run.model], choices = shown_score, head.choices
            tables[run.model] = score_table(rows, shown_score[:, None], [f"seed_{head.seeds[head.shown]}"])
    found = External(heads=dataset, images=images, recipe=told, left_out=left_out(seen), nets=nets)
    asked = review(rows, shown_scores, (told, choices), prior(table, choices), outside.bootstrap, {images: rows})
    return Elsewhere(found, asked, tables)
