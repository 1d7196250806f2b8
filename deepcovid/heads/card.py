"""The model card of a head (Mitchell et al. 2019): what it is, what it was trained on, and what it is not for."""

from collections.abc import Mapping

import pandas as pd

from deepcovid import RESEARCH_ONLY, catalogue
from deepcovid.heads.head_files import HeadFile
from deepcovid.heads.sides import sides
from deepcovid.nets.zoo import title_of

CARD = """
# {net} under the recipe {recipe}, trained on {dataset}

**{warning}** {meaning}

## What it is

- A linear layer of two classes, {classes}, on {features:,} features of {net}, whose own weights stay as they are
  (SHA-256 of their file: `{weights}`).
- {heads} heads, one a seed ({seeds}). Seed {shown} is the median one, whose numbers are reported.
- Images are resized to {size} pixels on the short side, and the centre is cut out.
- An image is called {positive} from a score of {cut_off:g} on.

## What it was trained on

| images | {positive} | {other} |
| --- | ---: | ---: |
{counts}

{origins}

The choices of the recipe:

{choices}

## What it reaches

On the test images of {dataset}, the median head: {reached}. With intervals, and in parts of the images:
`results/{dataset}/runs.json` and `results/{dataset}/review.json`; page: `data/{dataset}/report.html`.

## What it is for

- To check, teach and extend the paper that the recipe comes from. `deepcovid predict IMAGES --head FILE` scores images.
- It is not for patients: it was tested on few, from other collections than those that it would meet, and its score
  follows the training images' share of {positive}.
- An image that is unlike the training images gets a warning, not another score.
"""
SYNTHETIC = "The images are synthetic, so the scores say nothing about COVID-19."
REAL = (
    "The score may reflect the collection that an image comes from instead of the disease. The report's audits test "
    "this: read them before any number here."
)
REACHED = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity"}


def model_card(head: HeadFile, table: pd.DataFrame, metrics: Mapping[str, float], *, synthetic: bool) -> str:
    """Return the card as Markdown.

    Args:
        head: The heads.
        table: The catalogue of their data set, with its split.
        metrics: Numbers of the median head on the test images: auc, sensitivity and specificity.
        synthetic: Whether the images are synthetic.
    """
    positive, other = catalogue.LABELS
    trained = table[sides(table, head.choices).train]
    copied = catalogue.copies(trained)
    parts = {"originals": trained[~copied], "augmented copies": trained[copied]}
    counts = [
        f"| {name} | {catalogue.covid(rows).sum():,} | {(~catalogue.covid(rows)).sum():,} |"
        for name, rows in parts.items()
        if len(rows)
    ]
    origins = trained.groupby(["source", "licence"], sort=True).size().reset_index(name="images")
    said = [
        f"- {images:,} images of {source or 'an unknown source'}; licence: {licence or 'not known'}"
        for source, licence, images in origins.itertuples(index=False)
    ]
    return CARD.format(
        net=title_of(head.model),
        recipe=head.recipe,
        dataset=head.dataset,
        warning=RESEARCH_ONLY,
        meaning=SYNTHETIC if synthetic else REAL,
        classes=" and ".join(catalogue.LABELS),
        features=head.weight.shape[1],
        weights=head.weights_sha256,
        heads=len(head.seeds),
        seeds=", ".join(map(str, head.seeds)),
        shown=head.seeds[head.shown],
        size=head.image_size,
        positive=positive,
        other=other,
        cut_off=head.choices.cut_off,
        counts="\n".join(counts),
        origins="\n".join(said),
        choices="\n".join(f"- {key}: {value}" for key, value in head.choices.model_dump().items()),
        reached=", ".join(f"{name} {metrics[key]:.3f}" for key, name in REACHED.items()),
    ).lstrip()
