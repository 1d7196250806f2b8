"""Decode the chosen images into one array of square images, with the augmented COVID training images among them.

A contact sheet of each group shows what the images look like; DVC keeps it, since no image of a patient may enter git.
"""

from pathlib import Path

import pandas as pd
import torch

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.errors import UserError
from deepcovid.files import replacing, write_json
from deepcovid.images.augmentation import with_copies
from deepcovid.images.contact_sheet import SHOWN, contact_sheet
from deepcovid.images.decoding import check_quarantine, decoded_images, resize_and_crop, write_images
from deepcovid.images.masks import lesion_masks
from deepcovid.parameters import Parameters
from stages import _run, paths


def augment(parameters: Parameters, dataset: str) -> None:
    torch.set_num_threads(1)  # one small image at a time
    generated = parameters.augment.source == "generated"
    table = catalogue.read(paths.data(dataset, "split.csv"))
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
    catalogue.write(paths.data(dataset, "images.csv"), used)
    write_json(paths.provenance(dataset, "quarantined"), quarantined)
    copies = int(catalogue.copies(used).sum())
    write_json(
        paths.results(dataset, "images"), {"images": len(used), "copies": copies, "quarantined": len(quarantined)}
    )
    with replacing(paths.contact_sheets(dataset)) as folder:
        folder.mkdir()
        draw_contact_sheets(dataset, used, size, folder)


def draw_contact_sheets(dataset: str, table: pd.DataFrame, size: int, folder: Path) -> None:
    """Draw a sheet of each of the paper's groups, of originals only."""
    pixels, group = load_array(paths.data(dataset, "pixels.npy")), catalogue.group_of(table)
    for name in sorted(group.unique()):
        rows = table[catalogue.originals(table) & (group == name)].head(SHOWN)
        shown = f"{size} x {size} pixels as the nets see them"
        title = f"{dataset}: group {name!r}, {shown}; research only, not for diagnosis"
        images = [pixels[place].squeeze() for place in rows.index]
        sheet = contact_sheet(rows, images, lesion_masks(paths.data(dataset, "raw"), rows, size), title)
        sheet.savefig(folder / f"{name}.png", dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    _run.run(augment)
