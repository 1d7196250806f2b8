"""Generated inputs that several test files share."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from deepcovid import catalogue

VIEWS = ["AP", "AP Supine", "PA", "L", ""]
MODALITIES = ["X-ray", "CT"]


@st.composite
def catalogues(draw, min_size=2, max_size=40):
    """A catalogue of both labels: patients with several images or labels, unknown patients, copies of originals."""
    originals = st.fixed_dictionaries(
        {
            "label": st.sampled_from(catalogue.LABELS),
            "view": st.sampled_from(VIEWS),
            "modality": st.sampled_from(MODALITIES),
            "finding": st.sampled_from([catalogue.NORMAL, "Edema", ""]),
            "patient_id": st.sampled_from(["", *(f"patient {number}" for number in range(12))]),
            "published_split": st.sampled_from(["train", "test", ""]),
        }
    )
    rows = draw(st.lists(originals, min_size=min_size, max_size=max_size))
    rows[0]["label"], rows[1]["label"] = catalogue.LABELS
    table = pd.DataFrame(rows).assign(augmentation_of="")
    table["image_id"] = [f"image {number}" for number in range(len(table))]
    copied = draw(st.lists(st.sampled_from(range(len(table))), max_size=6))
    copies = table.loc[copied].assign(
        augmentation_of=table.loc[copied, "image_id"], image_id=[f"copy {number}" for number in range(len(copied))]
    )
    table = pd.concat([table, copies], ignore_index=True).assign(archive="images.zip")
    return table.assign(member=table["image_id"]).reindex(columns=list(catalogue.COLUMNS), fill_value="")


@st.composite
def labelled_scores(draw, max_size=60):
    """Which images are positive, and their scores: both classes are there, and ties are common."""
    scores = st.one_of(st.integers(0, 10).map(lambda tenths: tenths / 10), st.floats(0, 1))
    pairs = draw(st.lists(st.tuples(st.booleans(), scores), min_size=2, max_size=max_size))
    positive, score = (np.array(part) for part in zip(*pairs, strict=True))
    positive[:2] = True, False
    return positive, score
