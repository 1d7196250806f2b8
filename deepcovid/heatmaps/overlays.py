"""Pictures of heat maps: over one image, over many, and the mean map, which shows no image at all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from deepcovid import RESEARCH_ONLY

Image = NDArray[np.uint8]
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

KEY = "red: raises the score for COVID-19; blue: lowers it"
# Clear where there is no heat, so that the image shows.
HEAT = LinearSegmentedColormap.from_list(
    "heat",
    [(0, (0, 0.3, 0.85, 0.75)), (0.5, (0, 0.3, 0.85, 0)), (0.5, (0.95, 0.05, 0, 0)), (1, (0.95, 0.05, 0, 0.75))],
)
OUTLINE = "#f0e442"


class Panel(NamedTuple):
    """An image with its maps, for a montage.

    Attributes:
        image: uint8 (height, width) or (height, width, 1 or 3).
        maps: A map of each method, (height, width), under its name.
        title: A short one.
        mask: What to outline, (height, width).
    """

    image: Image
    maps: Mapping[str, Map]
    title: str
    mask: Mask | None = None


def overlay(image: Image, maps: Mapping[str, Map], title: str, mask: Mask | None = None) -> Figure:
    """Draw an image, and beside it each map over it with its colour bar.

    Args:
        image: uint8 (height, width) or (height, width, 1 or 3).
        maps: A map of each method, (height, width), under its name. Each has its own scale, symmetric about 0.
        title: Above them; two lines fit.
        mask: What to outline, (height, width).
    """
    figure, axes = _page(["image", *maps], title)
    _draw(axes[0], image, None, mask)
    for axis, heat in zip(axes[1:], maps.values(), strict=True):
        _draw(axis, image, heat, mask)
        _colour_bar(axis, heat)
    return figure


def montage(panels: Sequence[Panel], title: str, columns: int = 2, side: float = 1.3) -> Figure:
    """Draw many images, each followed by its maps over it; every map has its own scale, whose end stands above it.

    Args:
        panels: At least one; all with the same methods.
        title: Above the page.
        columns: Panels in a row.
        side: Side of an image, inches.
    """
    names = list(panels[0].maps)
    panel, gap, head, foot = (len(names) + 1) * side, 0.22, 0.36, 0.3  # inches
    width = columns * panel + (columns - 1) * gap
    height = head + -(-len(panels) // columns) * (side + gap) + foot
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, fontsize=9, y=1 - 0.08 / height, va="top", parse_math=False)
    methods = " and ".join(names)
    key = f"Each image, then {methods} over it, up to the number given. Outlined: the lesion, where known.\n{KEY}. "
    figure.text(0.5, 0.03 / height, key + RESEARCH_ONLY, fontsize=7, ha="center")
    for index, (image, maps, own_title, mask) in enumerate(panels):
        row, column = divmod(index, columns)
        bottom = height - head - (row + 1) * (side + gap)
        for place, (name, heat) in enumerate([(own_title, None), *maps.items()]):
            left = column * (panel + gap) + place * side
            axis = figure.add_axes((left / width, bottom / height, 0.98 * side / width, 0.98 * side / height))
            label = name if heat is None else f"{name}, {reach(heat):.2g}"
            axis.set_title(label, fontsize=6.5, pad=2, parse_math=False)
            _draw(axis, image, heat, mask)
    return figure


def map_sheet(maps: Mapping[str, Map], title: str) -> Figure:
    """Draw maps alone, each with its colour bar: no image is shown, nor can one be handed over.

    Args:
        maps: A map of each method, (height, width), under its name; at least one.
        title: Above them.
    """
    figure, axes = _page([*maps], title)
    for axis, heat in zip(axes, maps.values(), strict=True):
        _show(axis, heat)
        _colour_bar(axis, heat)
    return figure


def map_grid(rows: Mapping[str, Mapping[str, Map]], title: str, side: float = 2.2) -> Figure:
    """Draw maps alone, a row a key; every map has its own scale, whose end stands above it.

    Args:
        rows: Under each title, a map of each method, (height, width); at least one row, all with the same methods.
        title: Above them.
        side: How wide a map is, inches.
    """
    columns, gap, head, foot = len(next(iter(rows.values()))), 0.55, 0.4, 0.5  # inches
    height = head + len(rows) * (side + gap) + foot
    width = max(columns * (side + 0.2), 5.2)
    figure = Figure(figsize=(width, height))
    figure.suptitle(title, fontsize=10, y=1 - 0.1 / height, va="top", parse_math=False)
    figure.text(0.5, 0.08 / height, f"{KEY}.\n{RESEARCH_ONLY}", fontsize=7, ha="center")
    for row, (name, maps) in enumerate(rows.items()):
        bottom = height - head - (row + 1) * (side + gap)
        figure.text(0.5, (bottom + side + 0.27) / height, name, fontsize=9, ha="center", parse_math=False)
        for column, (method, heat) in enumerate(maps.items()):
            left = (width - columns * (side + 0.2)) / 2 + column * (side + 0.2) + 0.1
            axis = figure.add_axes((left / width, bottom / height, side / width, side / height))
            axis.set_title(f"{method}, up to {reach(heat):.2g}", fontsize=8, pad=3)
            _show(axis, heat)
    return figure


def save(figure: Figure, target: Path) -> None:
    """Write a figure as PNG, the same bytes every time."""
    figure.savefig(target, format="png", dpi=100, metadata={"Software": None})


def note(text: str) -> Figure:
    """Draw a line of text, where there is nothing else to show."""
    figure = Figure(figsize=(6.6, 1.2))
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, parse_math=False)
    return figure


def reach(heat: Map) -> float:
    """Return the end of a map's scale: its largest heat of either sign, or 1 where there is none."""
    return float(np.abs(heat).max()) or 1.0


def _page(names: Sequence[str], title: str) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(3.3 * len(names), 4.15))
    figure.suptitle(title, fontsize=10, y=0.985, va="top", parse_math=False)
    figure.text(0.5, 0.012, f"{KEY}. {RESEARCH_ONLY}", fontsize=8, ha="center")
    axes = [
        figure.add_axes(((index + 0.03) / len(names), 0.17, 0.94 / len(names), 0.69)) for index in range(len(names))
    ]
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, fontsize=9, pad=3)
    return figure, axes


def _draw(axis: Axes, image: Image, heat: Map | None, mask: Mask | None) -> None:
    grey = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    axis.imshow(grey, cmap="gray", vmin=0, vmax=255)
    if heat is not None:
        _show(axis, heat)
    if mask is not None and mask.any() and not mask.all():
        axis.contour(mask, levels=[0.5], colors=OUTLINE, linewidths=0.7)
    axis.axis("off")


def _show(axis: Axes, heat: Map) -> None:
    axis.imshow(heat, cmap=HEAT, norm=Normalize(-reach(heat), reach(heat)))
    axis.set(xticks=[], yticks=[])


def _colour_bar(axis: Axes, heat: Map) -> None:
    """Draw the scale of a map below it; one without heat below 0 gets the upper half."""
    end = reach(heat)
    below = axis.inset_axes((0.03, -0.065, 0.94, 0.035))
    ticks = MaxNLocator(4)  # more would run into one another where they are long, as 0.0025
    axis.figure.colorbar(ScalarMappable(Normalize(-end, end), HEAT), cax=below, ticks=ticks, orientation="horizontal")
    below.set_xlim(0 if heat.min() >= 0 else -end, end)
    below.tick_params(labelsize=7, pad=1, length=2)
