"""Figures as inline SVG: text stays text, colours follow the page, the same figure gives the same bytes."""

import io
import re
from collections.abc import Callable
from functools import wraps
from html import escape
from typing import ParamSpec

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

# Stand-ins in the figures for colours that the page sets, so that they follow its light and dark scheme.
INK, FAINT, PAGE = "#16181d", "#c9ccd2", "#fdfcfa"
VARIABLES = {INK: "var(--ink)", FAINT: "var(--rule)", PAGE: "var(--paper)"}
WIDTH = 9.2  # of a figure that fills the column, inches
SCALE = 1.35  # pixels of the page to a point
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "deepcovid",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": FAINT,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
Arguments = ParamSpec("Arguments")


def styled(draw: Callable[Arguments, Figure]) -> Callable[Arguments, Figure]:
    """Return `draw`, drawing in the page's style."""

    @wraps(draw)
    def drawn(*arguments: Arguments.args, **options: Arguments.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*arguments, **options)

    return drawn


def inline_svg(figure: Figure, name: str, alt: str) -> Markup:
    """Return a figure as an <svg> element.

    Args:
        figure: Drawn by a `styled` function.
        name: Unique on the page; the element's ids begin with it.
        alt: What the figure shows, for those who do not see it.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    # <svg ATTRIBUTES>BODY after the XML declaration; of the attributes only the view box is wanted.
    opening, body = buffer.getvalue().split("<svg ", 1)[1].split(">", 1)
    box = opening.split('viewBox="', 1)[1].split('"', 1)[0]
    width = float(box.split()[2])
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    # Ids must be unique on a page of many figures. Matplotlib's hash places, whose last bits vary with the layout's
    # solver, so ids are numbered instead.
    ids = {found: f"{name}-{number}" for number, found in enumerate(re.findall(r'\bid="([^"]+)"', body))}
    body = re.sub(r'\bid="([^"]+)"', lambda found: f'id="{ids[found[1]]}"', body)
    body = re.sub(r'(?:xlink:)?href="#([^"]+)"', lambda found: f'href="#{ids[found[1]]}"', body)
    body = re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{ids[found[1]]})", body)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    # In paths and places, not in text: a hundredth of a point is finer than any screen or printer.
    body = re.sub(r'="[^"]*"', lambda value: re.sub(r"-?\d+\.\d{3,}", _shortened, value[0]), body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, variable)
    # The widths were measured with DejaVu Sans; Verdana's are the same.
    body = body.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    body = re.sub(r"\n\s*", "\n", body)
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="{box}" style="width:{width * SCALE:.0f}px" '
        f'aria-label="{escape(alt)}">{body}'
    )


def _shortened(number: re.Match[str]) -> str:
    # A hair is added so that what differs in its last bits only is never rounded to both sides.
    return f"{float(number[0]) + 1e-7:.2f}".rstrip("0").rstrip(".")
