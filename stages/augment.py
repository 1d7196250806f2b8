"""Decode the chosen images into one array of square images, with the augmented COVID training images among them.

A contact sheet shows what the images look like; DVC keeps it, since no image of a patient may enter git.
"""

import pandas as pd
import torch

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from deepcovid.files import replacing, write_csv, write_json
from deepcovid.images.augmentation import copies, with_copies
from deepcovid.images.contact_sheet import chosen, contact_sheet
from deepcovid.images.decoding import as_rows, check_quarantine, decoded_images, write_images
from deepcovid.images.masks import lesion_masks
from deepcovid.images.put_aside import put_aside
from deepcovid.images.resizing import resize_and_crop
from deepcovid.parameters import Parameters
from deepcovid.progress import warn
from stages import _run, paths
from stages._counts import counted


def augment(parameters: Parameters, dataset: str) -> None:
    torch.set_num_threads(1)  # one small image at a time
    generated = parameters.augment.source == "generated"
    keys = ["copies", *(f"{label}.{side}" for label in catalogue.LABELS for side in ("train", "test"))]
    chosen = counted(paths.results(dataset, "split"), *keys)
    table = catalogue.read(paths.data(dataset, "split.csv"), chosen)
    if not generated and (parameters.split.strategy != "published" or not catalogue.copies(table).any()):
        raise UserError(
            f"dataset.{dataset}.augment.source: published copies belong to the published training images; "
            "with another split, or a source without copies, set it to generated"
        )
    if generated:
        table = table[catalogue.originals(table)]
    quarantined: dict[str, str] = {}
    size = parameters.image_size
    images = decoded_images(table, paths.data(dataset, "raw"), quarantined, resize_and_crop(size))
    with replacing(paths.data(dataset, "pixels.npy")) as pixels:
        used = write_images(with_copies(images, parameters.augment) if generated else images, pixels, size)
        if used.empty:
            name, why = next(iter(quarantined.items()))
            raise UserError(f"{dataset}: none of its {len(table)} images can be used; first {name!r}: {why}")
        check_quarantine(quarantined, len(table), parameters.max_quarantined_share)
    if quarantined:
        warn(put_aside(quarantined, dataset))
    catalogue.write(paths.data(dataset, "images.csv"), used)
    write_json(paths.provenance(dataset, "quarantined"), quarantined)
    counts = {"images": len(used), "copies": int(catalogue.copies(used).sum()), "quarantined": len(quarantined)}
    write_json(paths.results(dataset, "images"), counts)
    write_spare_copies(parameters, dataset, used)
    draw_contact_sheet(dataset, used, size)


def write_spare_copies(parameters: Parameters, dataset: str, table: pd.DataFrame) -> None:
    """Make copies of the COVID images that the pipeline has not copied yet, for other splits to train on.

    A data set that is only tested on gets an empty folder.
    """
    originals = table[catalogue.covid(table) & catalogue.originals(table)]
    if parameters.augment.source == "generated":
        originals = originals[catalogue.in_test(originals)]
    pixels = load_array(paths.data(dataset, "pixels.npy"))
    images = (pixels[place].squeeze() for place in originals.index)
    with replacing(paths.spare_copies(dataset)) as folder:
        folder.mkdir()
        if parameters.split.strategy != "test-only":
            made = copies(zip(as_rows(originals), images, strict=True), parameters.augment)
            used = write_images(made, folder / "pixels.npy", parameters.image_size)
            write_csv(folder / "images.csv", used[["image_id", "augmentation_of"]])


def draw_contact_sheet(dataset: str, table: pd.DataFrame, size: int) -> None:
    """Draw a few originals of each of the paper's groups, and of each collection."""
    pixels, rows = load_array(paths.data(dataset, "pixels.npy")), chosen(table)
    title = f"{dataset}: {size} x {size} pixels as the nets see them; research only, not for diagnosis"
    masks = lesion_masks(paths.data(dataset, "raw"), rows, size)
    images = {place: pixels[place].squeeze() for place in rows.index}
    with replacing(paths.contact_sheet(dataset)) as partial:
        contact_sheet(rows, images, masks, title).savefig(partial, format="png", dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    _run.run(augment)
