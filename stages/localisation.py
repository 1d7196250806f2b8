"""Measure whether the heat lies where the lesions are, and where the lungs are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deepcovid.files import write_json
from deepcovid.heatmaps.localisation import localised
from deepcovid.images.lungs import ARCHIVE, lung_masks, lung_members
from deepcovid.settings import Settings
from stages import _run, paths
from stages.maps import detected, read_maps
from stages.masks import lesion_masks

Masks = Sequence[NDArray[np.bool_] | None]


def localisation(settings: Settings, dataset: str) -> None:
    raw, options = paths.data(dataset, "raw"), settings.dataset[dataset].heatmaps
    members = lung_members(raw)
    no_lungs = (
        f"no chosen COVID image that is detected is among the {len(members)} with a lung mask in {ARCHIVE}"
        if (raw / ARCHIVE).is_file()
        else f"no {ARCHIVE} among the raw files"
    )
    nets = []
    for model in settings.heatmapped_models:
        rows, maps = read_maps(dataset, model)

        def compared(masks: Masks, rows: pd.DataFrame, maps: Mapping[str, NDArray[Any]], none: str) -> dict[str, Any]:
            shown = [place for place in rows.index if (mask := masks[place]) is not None and 0 < mask.mean() < 1]
            if not shown:
                return {"images": 0, "skipped": none}
            own = {name: part[shown] for name, part in maps.items()}
            known = np.array([masks[place] for place in shown])
            return localised(own, known, rows["patient_id"][shown], options.images.seed, settings.evaluate)

        found = rows[detected(rows)]
        lesions, lungs = lesion_masks(dataset, rows), lung_masks(raw, rows, members)
        nets.append(
            {
                "model": model,
                "chosen": rows["why"].str.replace(" ", "_").value_counts(sort=False).to_dict(),
                "lesions": compared(lesions, found, maps, "no chosen COVID image that is detected has a lesion mask"),
                "lungs": compared(lungs, found, maps, no_lungs),
            }
        )
    shared = {"recipe": settings.heatmaps.recipe, **options.model_dump(exclude={"images"})}
    write_json(paths.metrics(dataset, "heatmaps"), shared | {"nets": nets})


if __name__ == "__main__":
    _run.run(localisation)
