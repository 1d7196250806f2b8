"""Get a net's weights: torchvision's, a file, or seeded random ones calibrated on training images."""

from pathlib import Path
from typing import Any

import torch

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.fetching import editions, located, mirror_folders
from deepcovid.files import replacing, sha256_of, write_json
from deepcovid.nets import weights
from deepcovid.nets.features import keep_large_buffers, normalised
from deepcovid.nets.trunks import write_state
from deepcovid.settings import Settings
from stages import _run, paths


def weights_stage(settings: Settings, dataset: str, model: str) -> None:
    options = settings.dataset[dataset].weights
    target = paths.data(dataset, f"weights/{model}.safetensors")
    record: dict[str, Any]
    with replacing(target) as partial:
        if options.source == "random":
            keep_large_buffers()
            images = calibration_images(dataset, options.seed, options.calibration_images)
            state = weights.random_state(model, options.seed, images)
            record = {"origin": "random", "seed": options.seed, "calibration_images": len(images)}
        elif options.source == "imagenet":
            remote = weights.imagenet_file(model, editions(paths.REFERENCE / "sources.yaml", "weights"))
            with located(remote, mirror_folders()) as (path, record):
                state = weights.load(path, model)
        else:
            path = weights.file_in(Path(options.source), model)
            state = weights.load(path, model)
            record = {"origin": "file", "name": path.name, "bytes": path.stat().st_size, "sha256": sha256_of(path)}
        write_state(partial, model, state)
    write_json(paths.provenance(dataset, f"weights-{model}"), {"model": model, **record})


def calibration_images(dataset: str, seed: int, count: int) -> torch.Tensor:
    """Return a fixed sample of training images, as the net sees them."""
    table = catalogue.read(paths.data(dataset, "images.csv"))
    rows = table[(table["split"] == "train") & catalogue.originals(table)]
    sample = rows.sample(min(count, len(rows)), random_state=seed).index.sort_values()
    return normalised(torch.from_numpy(load_array(paths.data(dataset, "pixels.npy"))[sample]))


if __name__ == "__main__":
    _run.run(weights_stage)
