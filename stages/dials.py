"""Draw synthetic images at several settings of two dials, and run audits at each, to see what they are evidence of.

It takes minutes, because the images are drawn, decoded and scored for every setting. `make dials` runs it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from deepcovid import catalogue, sources
from deepcovid.arrays import load_array
from deepcovid.audits.dials import Cell, Dials, Images, cell, figure, key
from deepcovid.audits.hiding import SHUFFLED, Square, hide
from deepcovid.errors import UserError
from deepcovid.files import replacing
from deepcovid.filtering import filter_images
from deepcovid.images.augmentation import with_copies
from deepcovid.images.decoding import decoded_images, write_images
from deepcovid.images.masks import lesion_masks
from deepcovid.images.resizing import resize_and_crop
from deepcovid.nets.features import extract, keep_large_buffers, normalised
from deepcovid.nets.trunks import trunk
from deepcovid.nets.weights import random_state
from deepcovid.parameters import Parameters
from deepcovid.progress import track
from deepcovid.settings.datasets import DatasetSettings, PhantomSource
from deepcovid.splitting import split_images
from deepcovid.statistics.estimate import write_result
from stages import _run, paths
from stages._calibration import sampled
from stages._resolved import read_settings


def dials(parameters: Parameters, dataset: str) -> None:
    options = parameters.dials
    external = read_settings().dataset[options.images]
    for name, source in ((dataset, parameters.source), (options.images, external.source)):
        if not isinstance(source, PhantomSource):
            raise UserError(f"{name}: its images are not phantoms; name a data set of kind phantom")
    if not parameters.audited_models:
        raise UserError("no net is in both models and audited_models; name one in both")
    settings = [(shortcut, lesion) for shortcut in options.at.shortcut for lesion in options.at.lesion]
    cells = {
        key(shortcut, lesion): read(parameters, external, shortcut, lesion)
        for shortcut, lesion in track(settings, "settings of the dials", total=len(settings), unit="settings")
    }
    found = Dials(
        model=parameters.audited_models[0],
        recipe=parameters.audit.recipe,
        hidden_share=parameters.audit.hidden_share,
        cells=cells,
    )
    write_result(paths.results(dataset, "dials"), found)
    with replacing(paths.PLOTS / "dials" / f"{dataset}.png") as partial:
        figure(found).savefig(partial, format="png", dpi=120, metadata={"Software": None})


def read(parameters: Parameters, external: DatasetSettings, shortcut: float, lesion: float) -> Cell:
    """Return the results of the audits at one setting."""
    keep_large_buffers()
    model, square = parameters.audited_models[0], Square(parameters.audit.hidden_share, "outside")
    with TemporaryDirectory() as folder:
        own, other = Path(folder) / "own", Path(folder) / "other"
        table, pixels = drawn(parameters, own, parameters, shortcut, lesion)
        others, other_pixels = drawn(external, other, parameters, shortcut, lesion)
        sample = sampled(table, parameters.weights.seed, parameters.weights.calibration_images)
        state = random_state(model, parameters.weights.seed, normalised(torch.from_numpy(pixels[sample])))

        def features(seen: NDArray[np.uint8]) -> NDArray[np.float32]:
            size = parameters.features.batch_size
            batches = (seen[start : start + size] for start in range(0, len(seen), size))
            return np.concatenate(list(extract(trunk(model, state), batches, parameters.features)))

        known = table[catalogue.in_test(table) & catalogue.covid(table)].reset_index(drop=True)
        masks = [mask for mask in lesion_masks(own / "raw", known, parameters.image_size) if mask is not None]
        return cell(
            Images(table, pixels[..., 0].astype(np.float32), features(pixels)),
            Images(others, other_pixels[..., 0].astype(np.float32), features(other_pixels)),
            {shown: features(hide(pixels, shown)) for shown in (square, SHUFFLED)},
            np.array(masks),
            parameters.trained[parameters.audit.recipe],
            parameters.seeds,
            parameters.evaluate,
            parameters.audit.seed,
            lesion=lesion,
            shortcut=shortcut,
        )


def drawn(
    dataset: DatasetSettings, folder: Path, parameters: Parameters, shortcut: float, lesion: float
) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Draw a share of a data set's images at one setting, and return what the stages up to augment make of them.

    Returns:
        The catalogue (images), with its split; pixels, uint8 (images, side, side, 1).
    """
    assert isinstance(dataset.source, PhantomSource)
    source = dataset.source.scaled(parameters.dials.share).model_copy(update={"shortcut": shortcut, "lesion": lesion})
    split = dataset.split.model_copy(update={"too_few": "scale"})
    table, _ = sources.prepare(source, folder / "raw", paths.REFERENCE, [])
    table, _ = split_images(filter_images(table, dataset.filter)[0], split)
    images = decoded_images(table, folder / "raw", {}, resize_and_crop(parameters.image_size))
    pixels, used = folder / "pixels.npy", folder / "images.csv"
    write_images(with_copies(images, parameters.augment), pixels, used, table.columns, parameters.image_size)
    return catalogue.read(used), np.array(load_array(pixels))


if __name__ == "__main__":
    _run.run(dials)
