"""Test the heads of a data set and a net on the test images of another data set, as they are, cut-offs and all."""

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
from deepcovid.progress import bar
from deepcovid.settings import Settings
from stages import _run, paths


def external(settings: Settings, dataset: str, model: str, images: str) -> None:
    weights, options = paths.data(dataset, f"weights/{model}.safetensors"), settings.features
    files = {name: paths.data(dataset, f"heads/{model}-{name}.safetensors") for name in settings.recipes}
    heads = {name: read_head(path) for name, path in files.items()}
    for name, path in files.items():
        check_weights(path, heads[name], weights)

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
        results[name] = measured(rows, scores, head.choices.cut_off, settings.audit.calibration_bins, settings.evaluate)
    found = {"heads": dataset, "images": images, "model": model, "left_out": counts, "recipes": results}
    write_json(paths.metrics(dataset, f"audit/external-{images}-{model}"), found)


if __name__ == "__main__":
    _run.run(external)
