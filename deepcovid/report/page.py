"""Pages of HTML with nothing to load: the report, what a reviewer asks for, and what `deepcovid test` found."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepcovid.drawing.blocks import Section
from deepcovid.drawing.steps import Step
from deepcovid.report.contents import Contents
from deepcovid.report.review import sections as of_review
from deepcovid.report.sections import sections
from deepcovid.report.tables import flat


@dataclass(frozen=True)
class Page:
    """What differs from page to page, beside the sections.

    Attributes:
        kicker: Above the title.
        dataset: The data set, or the images, that the page is about.
        command: What makes the page.
        synthetic: True where the images were drawn, so that the numbers say nothing about COVID-19.
        steps: The steps of the pipeline behind the page, if any.
        other: File name of the page beside it, if any.
        link: What leads there.
    """

    kicker: str
    dataset: str
    command: str
    synthetic: bool = False
    steps: tuple[Step, ...] = ()
    other: str = ""
    link: str = ""


def render(contents: Contents) -> str:
    """Return the report; the same contents give the same text."""
    page = _of(contents, "Report of a reproduction", "review.html", "What a reviewer asks for")
    return filled(page, sections(contents))


def render_review(contents: Contents) -> str:
    """Return the page of what a reviewer asks for; the same contents give the same text."""
    page = _of(contents, "What a reviewer asks for", "report.html", "The report")
    return filled(page, of_review(contents))


def _of(contents: Contents, kicker: str, other: str, link: str) -> Page:
    return Page(kicker, contents.dataset, contents.command, contents.synthetic, contents.steps, other, link)


def filled(page: Page, found: Sequence[Section]) -> str:
    """Return a page with its sections."""
    environment = Environment(
        loader=PackageLoader("deepcovid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"flat": flat, "slug": slug}
    numbers = {"Figure": count(1), "Table": count(1)}

    def label(kind: str) -> str:
        """Return the next number of a figure or a table."""
        return f"{kind} {next(numbers[kind])}"

    made: dict[str, Any] = {"page": page, "sections": found, "label": label}
    made["style"] = Markup((files("deepcovid.report") / "templates" / "style.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html.j2").render(made).lstrip()


def slug(name: str) -> str:
    """Return a step's name as an id."""
    return "step-" + "".join(letter if letter.isalnum() else "-" for letter in name)
