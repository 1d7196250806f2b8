"""Decode the chosen images into one array of 224 x 224 pixels, with the augmented COVID training images among them."""

import torch

from deepcovid import catalogue
from deepcovid.errors import UserError
from deepcovid.files import replacing, write_json
from deepcovid.images.augmentation import with_copies
from deepcovid.images.decoding import check_quarantine, decoded_images, write_images
from deepcovid.settings import Settings
from stages import _run, paths


def augment(settings: Settings, dataset: str) -> None:
    torch.set_num_threads(1)  # one small image at a time
    options = settings.dataset[dataset]
    generated = options.augment.source == "generated"
    table = catalogue.read(paths.data(dataset, "split.csv"))
    if not generated and (options.split.strategy != "published" or not catalogue.copies(table).any()):
        raise UserError(
            f"dataset.{dataset}.augment.source: published copies belong to the published training images; "
            "with another split, or a source without copies, set it to generated"
        )
    if generated:
        table = table[catalogue.originals(table)]
    quarantined: dict[str, str] = {}
    images = decoded_images(table, paths.data(dataset, "raw"), quarantined)
    with replacing(paths.data(dataset, "pixels.npy")) as pixels:
        used = write_images(with_copies(images, options.augment) if generated else images, pixels)
        if used.empty:
            name, why = next(iter(quarantined.items()))
            raise UserError(f"{dataset}: none of its {len(table)} images can be used; first {name!r}: {why}")
        check_quarantine(quarantined, len(table), options.max_quarantined_share)
    catalogue.write(paths.data(dataset, "images.csv"), used)
    write_json(paths.provenance(dataset, "quarantined"), quarantined)
    copies = int(catalogue.copies(used).sum())
    write_json(
        paths.metrics(dataset, "images"), {"images": len(used), "copies": copies, "quarantined": len(quarantined)}
    )


if __name__ == "__main__":
    _run.run(augment)
