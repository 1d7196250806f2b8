"""Test the heads of a data set, with their cut-offs, on the test images of another data set."""

from deepcovid import catalogue
from deepcovid.audits.external import Collections, External, ExternalRun, Outside
from deepcovid.audits.unseen import candidates, check_images, left_out, trained_on
from deepcovid.errors import UserError
from deepcovid.files import replacing, write_csv
from deepcovid.heads.head_files import check_weights, read_head
from deepcovid.heads.scoring import score, score_table
from deepcovid.parameters import Parameters
from deepcovid.statistics.estimate import read_result, write_result
from deepcovid.statistics.rates import Runs
from deepcovid.statistics.review import prior, review
from stages import _audit, _run, paths
from stages._features import read_external_features
from stages.runs import read_run, read_scores


def external(parameters: Parameters, dataset: str, images: str) -> None:
    table, own = (catalogue.read(paths.data(name, "images.csv")) for name in (images, dataset))
    test = candidates(table)
    seen = trained_on(test, own[catalogue.in_training(own, augmented=True)])
    left = ~seen.any(axis=1).to_numpy()
    check_images(test[left], left_out(seen), f"--images {images}")
    inside = read_result(paths.results(dataset, "runs"), Runs).runs
    own_test = read_scores(dataset, parameters.frozen_runs[f"{parameters.models[0]}-{parameters.audit.recipe}"], own)
    own_test["finding"] = own_test["image_id"].map(own.set_index("image_id")["finding"]).fillna("")
    at_home = trained_on(test[left], own[catalogue.in_test(own)])["same_image"].to_numpy()
    outside = Outside(test[left], own_test, at_home, parameters.evaluate)
    collections = Collections(test[left], own_test, parameters.evaluate)
    nets: dict[str, dict[str, ExternalRun]] = {}
    shown_scores, seeds, told = {}, {}, parameters.audit.recipe
    for model in parameters.models:
        features, nets[model] = read_external_features(dataset, images, model, len(test)), {}
        for name, run in parameters.frozen_runs.items():
            if run.model != model:
                continue
            file = paths.head(dataset, run)
            head = read_head(file, (dataset, model, run.recipe))
            check_weights(file, head, paths.weights(dataset, model))
            try:
                scores = score(features[left], head.weight, head.bias)
            except UserError as error:
                raise UserError(f"{file}: {error}") from None
            if run.recipe == told:
                shown_scores[model], choices = scores[:, head.shown], head.choices
                seeds[model] = f"seed_{head.seeds[head.shown]}"
            bins, cut_off = parameters.audit.calibration_bins, head.choices.cut_off
            own_run, shown = read_run(dataset, run, own), head.shown
            apart = collections.told_apart(scores[:, shown], own_run.score)
            nets[model][run.recipe] = outside.reached(
                scores, own_run.score, shown, cut_off, bins, inside[name].auc, apart
            )
    found = External(heads=dataset, images=images, recipe=told, left_out=left_out(seen), nets=nets)
    _audit.write(found, dataset, f"external-{images}", f"on-{images}")
    rows = test[left].reset_index(drop=True)
    with replacing(paths.scores_elsewhere(dataset, images)) as folder:
        folder.mkdir()
        for model, shown_score in shown_scores.items():
            write_csv(folder / f"{model}.csv", score_table(rows, shown_score[:, None], [seeds[model]]))
    trained = prior(own, choices)
    said = review(rows, shown_scores, (told, choices), trained, outside.bootstrap, {images: rows})
    write_result(paths.results(dataset, f"review-{images}"), said)


if __name__ == "__main__":
    _run.run(external)
