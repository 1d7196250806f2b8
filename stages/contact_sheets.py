"""Draw a contact sheet of each group of a data set; a DVC output, since no image of a patient may enter git."""

from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from deepcovid import catalogue
from deepcovid.archives import Archive
from deepcovid.files import replacing
from deepcovid.images.contact_sheet import contact_sheet
from deepcovid.images.decoding import decode
from deepcovid.settings import Settings
from stages import _run, paths


def contact_sheets(settings: Settings, dataset: str) -> None:
    table = catalogue.read(paths.data(dataset, "images.csv"))
    table = table[catalogue.originals(table)]
    group = catalogue.group_of(table)
    with ExitStack() as stack, replacing(paths.data(dataset, "contact_sheets")) as folder:
        folder.mkdir()
        raw = paths.data(dataset, "raw")
        archives = {name: stack.enter_context(Archive(raw / name)) for name in table["archive"].unique()}

        def read(row: dict[str, str]) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
            archive = archives[row["archive"]]
            mask = decode(archive.read(row["mask"])) > 127 if row["mask"] else None
            return decode(archive.read(row["member"])), mask

        for name in sorted(group.unique()):
            title = (
                f"{dataset}: group {name!r}, 224 x 224 pixels as the nets see them; research only, not for diagnosis"
            )
            sheet = contact_sheet(table[group == name], read, title)
            sheet.savefig(folder / f"{name}.png", dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    _run.run(contact_sheets)
