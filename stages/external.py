"""Test the heads of a data set on the test images of another data set, as they are, cut-offs and all."""

import numpy as np

from deepcovid import catalogue
from deepcovid.arrays import batches, load_array
from deepcovid.audits.external import check_images, chosen, left_out, measured, trained_on
from deepcovid.errors import UserError
from deepcovid.files import write_json
from deepcovid.heads.head_files import check_weights, read_head
from deepcovid.heads.scoring import score
from deepcovid.nets.features import extract
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.parameters import Parameters
from deepcovid.progress import bar
from stages import _run, paths


def external(parameters: Parameters, dataset: str, images: str) -> None:
    table, own = (catalogue.read(paths.data(name, "images.csv")) for name in (images, dataset))
    test = table[catalogue.in_test(table) & catalogue.originals(table)]
    seen = trained_on(test, own[catalogue.in_training(own, augmented=True)])
    rows, counts = test[~seen.any(axis=1)], left_out(seen)
    check_images(rows, counts, f"--images {images}")
    decoded = paths.data(images, "pixels.npy")
    if len(load_array(decoded)) != len(table):
        raise UserError(
            f"{decoded}: {len(load_array(decoded))} images, but images.csv beside it has {len(table)} rows; run "
            "`dvc repro`, which makes both anew"
        )
    found = {}
    for model in parameters.models:
        weights, options = paths.weights(dataset, model), parameters.features
        files = {name: paths.head(dataset, parameters.runs[f"{model}-{name}"]) for name in parameters.trained}
        heads = {name: read_head(path) for name, path in files.items()}
        for name, path in files.items():
            check_weights(path, heads[name], weights)
        pixels = chosen(batches(decoded, options.batch_size), table.index.isin(rows.index))
        extracted = []
        with bar(f"{model} on {images}", total=len(rows)) as progress:
            for batch in extract(trunk(*read_state(weights)), pixels, options):
                extracted.append(batch)
                progress.update(len(batch))
        features, results = np.concatenate(extracted), {}
        for name, head in heads.items():
            try:
                scores = score(features, head.weight, head.bias)
            except UserError as error:
                raise UserError(f"{files[name]}: {error}") from None
            bins = parameters.audit.calibration_bins
            results[name] = measured(rows, scores, head.choices.cut_off, bins, parameters.evaluate)
        found[model] = {"heads": dataset, "images": images, "model": model, "left_out": counts, "recipes": results}
    write_json(paths.results(dataset, f"external-{images}"), found)


if __name__ == "__main__":
    _run.run(external)
