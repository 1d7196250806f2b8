"""Get the nets' weights: published ones, those in a user's files, or random ones calibrated on training images."""

from pathlib import Path
from typing import Any

from deepcovid.fetching import editions, located, mirror_folders
from deepcovid.files import expanded, replacing, sha256_of, write_json
from deepcovid.nets import weights
from deepcovid.nets.features import keep_large_buffers
from deepcovid.nets.trunks import check_size, write_state
from deepcovid.parameters import Parameters
from stages import _run, paths
from stages._calibration import calibration_images


def weights_stage(parameters: Parameters, dataset: str) -> None:
    for model, choices in parameters.nets.items():
        if choices.runs:
            check_size(model, parameters.image_size)
    recorded = paths.provenance_of_weights(dataset)
    with replacing(paths.data(dataset, "weights")) as folder, replacing(recorded) as records:
        folder.mkdir()
        records.mkdir()
        for model, choices in parameters.nets.items():
            target = folder / paths.weights(dataset, model).name
            if choices.runs:
                record = get(parameters, dataset, model, target)
                write_json(records / f"{model}.json", {"model": model, **record})
            else:  # an empty file tells its stages that there is nothing to do
                target.touch()


def get(parameters: Parameters, dataset: str, model: str, target: Path) -> dict[str, Any]:
    """Write a net's weights to `target` and return the record of where they came from."""
    options = parameters.weights
    record: dict[str, Any]
    if options.source == "random":
        keep_large_buffers()
        images = calibration_images(dataset, parameters.image_size, options.seed, options.calibration_images)
        state = weights.random_state(model, options.seed, images)
        record = {"origin": "random", "seed": options.seed, "calibration_images": len(images)}
    elif options.source == "imagenet":  # or other weights that the net's authors published
        mirrors = mirror_folders()
        remote = weights.published_file(model, editions(paths.SOURCES, "weights"), mirrors)
        with located(remote, mirrors) as (path, record):
            state = weights.load(path, model)
    else:
        path = weights.file_in(expanded(options.source), model)
        state = weights.load(path, model)
        record = {"origin": "file", "name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
    write_state(target, model, state)
    return record


if __name__ == "__main__":
    _run.run(weights_stage)
