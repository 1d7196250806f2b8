"""Decode the chosen images into one array of square images, with augmented copies of the COVID training images.

A contact sheet shows what the images look like. DVC keeps it, because no image of a patient may enter git.
"""

from functools import partial

import pandas as pd

from deepcovid import catalogue
from deepcovid.arrays import load_array
from deepcovid.catalogue import SIDES
from deepcovid.errors import UserError
from deepcovid.files import Known, KnownArchives, replacing, write_json
from deepcovid.images.contact_sheet import chosen, contact_sheet
from deepcovid.images.decoding import check_quarantine, forget_archives, usable, write_images
from deepcovid.images.image_pass import ImagePass, made
from deepcovid.images.masks import lesion_masks
from deepcovid.images.put_aside import put_aside
from deepcovid.parameters import Parameters
from deepcovid.passes.shards import passing
from deepcovid.progress import warn
from stages import _run, paths
from stages._counts import counted
from stages._fingerprints import versions_of


def augment(parameters: Parameters, dataset: str) -> None:
    generated = parameters.augment.source == "generated"
    keys = ["copies", *(f"{label}.{side}" for label in catalogue.LABELS for side in SIDES)]
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
    test_only = parameters.split.strategy == "test-only"
    raw, unfinished = paths.data(dataset, "raw"), paths.unfinished("augment", dataset, dataset)
    size, own_copies, spare = parameters.image_size, ("train",) if generated else (), ("test",) if generated else SIDES
    with passing(unfinished, partial(versions_of, "augment")) as run:
        listed, count, columns = unfinished / "images.csv", len(table), list(table.columns)
        catalogue.write(listed, table)
        del table  # from here on its rows are read as they are needed
        copied = () if test_only else SIDES
        whole = ImagePass(Known.of(listed), count, KnownArchives.of(raw), size, parameters.augment, copied)
        parts = run("images", [whole], f"{dataset}, images")
        forget_archives()
        pixels_path, table_path = (paths.data(dataset, name) for name in ("pixels.npy", "images.csv"))
        with replacing(pixels_path) as pixels, replacing(table_path) as used:
            rows = usable(made(listed, parts, own_copies), quarantined)
            if not write_images(rows, pixels, used, columns, size):
                name, why = next(iter(quarantined.items()))
                raise UserError(f"{dataset}: none of its {count} images can be used; first {name!r}: {why}")
            check_quarantine(quarantined, count, parameters.max_quarantined_share)
        channels = load_array(pixels_path).shape[-1]
        with replacing(paths.spare_copies(dataset)) as folder:  # for other splits to train on
            folder.mkdir()
            if not test_only:
                copies, named = usable(made(listed, parts, spare, images=False), {}), ["image_id", "augmentation_of"]
                write_images(copies, folder / "pixels.npy", folder / "images.csv", named, size, channels)
    if quarantined:
        warn(put_aside(quarantined, dataset))
    table = catalogue.read(table_path)
    write_json(paths.provenance(dataset, "quarantined"), quarantined)
    counts = {"images": len(table), "copies": int(catalogue.copies(table).sum()), "quarantined": len(quarantined)}
    write_json(paths.results(dataset, "images"), counts)
    draw_contact_sheet(dataset, table, size)


def draw_contact_sheet(dataset: str, table: pd.DataFrame, size: int) -> None:
    """Draw a few originals of each of the paper's groups, and of each collection."""
    pixels, rows = load_array(paths.data(dataset, "pixels.npy")), chosen(table)
    title = f"{dataset}: {size} x {size} pixels as the nets see them; research only, not for diagnosis"
    masks = lesion_masks(paths.data(dataset, "raw"), rows, size)
    images = {place: pixels[place].squeeze() for place in rows.index}
    with replacing(paths.contact_sheet(dataset)) as sheet:
        contact_sheet(rows, images, masks, title).savefig(sheet, format="png", dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    _run.run(augment)
