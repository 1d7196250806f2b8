"""The report as one HTML page with nothing to load."""

from importlib.resources import files
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from deepcovid.report.contents import Contents
from deepcovid.report.sections import sections
from deepcovid.report.tables import flat


def render(contents: Contents) -> str:
    """Return the page; the same contents give the same text."""
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

    made: dict[str, Any] = {"contents": contents, "sections": sections(contents), "label": label}
    made["style"] = Markup((files("deepcovid.report") / "templates" / "style.css").read_text(encoding="utf-8"))
    return environment.get_template("report.html.j2").render(made).lstrip()


def slug(name: str) -> str:
    """Return a step's name as an id."""
    return "step-" + "".join(letter if letter.isalnum() else "-" for letter in name)
