"""What a section of the page is made of."""

from base64 import b64encode
from dataclasses import dataclass

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from deepcovid.drawing.steps import Step
from deepcovid.drawing.svg import inline_svg
from deepcovid.drawing.tables import Table

NOT_RUN = "Not run on this data set: the {}."


@dataclass(frozen=True)
class Tile:
    """One number with the words around it."""

    value: str
    title: str
    text: str


@dataclass(frozen=True)
class Block:
    """A figure, a table, a row of tiles or sentences, and the steps that it comes from.

    `reading` says how to read it, in paragraphs under the caption. `folded` is a table that opens on demand, under
    `folded_title`.
    """

    caption: str
    steps: tuple[Step, ...]
    picture: Markup | None = None
    table: Table | None = None
    tiles: tuple[Tile, ...] = ()
    sentences: tuple[str, ...] = ()
    folded: Table | None = None
    folded_title: str = "The same in numbers"
    reading: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Figure, Table, or blank for what has no number."""
        return "Figure" if self.picture else "Table" if self.table else ""


@dataclass(frozen=True)
class Section:
    """A part of the page; `notes` say what was not run. A `folded` one opens on demand."""

    anchor: str
    title: str
    text: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    notes: tuple[str, ...] = ()
    folded: bool = False


def drawn(
    figure: Figure,
    name: str,
    alt: str,
    caption: str,
    steps: tuple[Step, ...],
    folded: Table | None = None,
    reading: tuple[str, ...] = (),
) -> Block:
    """Return a figure as a block; `name` is unique on the page, `alt` is for those who do not see it."""
    return Block(caption, steps, picture=inline_svg(figure, name, alt), folded=folded, reading=reading)


def pictured(png: bytes, alt: str, caption: str, steps: tuple[Step, ...]) -> Block:
    """Return a PNG file as a block, inside the page itself; `alt` is for those who do not see it."""
    data = b64encode(png).decode()
    return Block(caption, steps, picture=Markup(f'<img alt="{escape(alt)}" src="data:image/png;base64,{data}">'))
