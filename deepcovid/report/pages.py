"""Pages of docs, filled in from results: no number in them is typed."""

import traceback
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from deepcovid.drawing.tables import rate, share, signed, spanned, spread
from deepcovid.errors import UserError, reason_of
from deepcovid.nets.zoo import title_of
from deepcovid.report import markdown
from deepcovid.report.results import Results
from deepcovid.report.sentences import claim_sentences, finding, smallest, what_detects

EACH_DATASET = "results.md.j2"  # the template of which there is a page for each data set
TABLES = (
    *("recipes", "runs", "confusions", "audits", "ways", "heatmaps", "beside", "predictive", "calibrated", "capped"),
    *("dials", "verdict"),
)
WRITTEN = "<!-- Written by `deepcovid docs` from {}. Change that file. -->\n\n"


def pages(templates: Path, results: Results, facts: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Yield each page's path, from the folder that holds docs, and its text.

    A template is named like its page, with .j2 behind: README.md goes to the top, any other below docs, and
    EACH_DATASET gives docs/results/<data set>.md for each data set. A template can name `result(data set, name)`,
    `run(data set, net, recipe)` and `rung(data set, net, name)` of Results, the tables of deepcovid.report.markdown,
    and `facts`.

    Args:
        templates: Folder of Markdown files in Jinja's language.
        results: What numbers are taken from.
        facts: Other values that pages name, such as the parameters.

    Raises:
        UserError: A template names what is not there; the error says where.
    """
    environment = Environment(
        loader=FileSystemLoader(templates),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, from files of our own
    )
    environment.filters |= {
        "spread": spread,
        "spanned": spanned,
        "rate": rate,
        "signed": signed,
        "share": share,
        "title": title_of,
    }
    environment.filters |= {"digits": lambda value, places: f"{value:.{places}f}", "count": lambda value: f"{value:,}"}
    environment.globals |= {"result": results.result, "has": results.has, "run": results.run, "rung": results.rung}
    environment.globals |= {name: partial(getattr(markdown, name), results) for name in TABLES}
    environment.globals |= {"ladder": markdown.ladder, "published": markdown.published}
    environment.globals |= {"finding": finding, "smallest": smallest, "claims": claim_sentences}
    environment.globals |= {"what_detects": what_detects, **facts}
    for path in sorted(templates.glob("*.md.j2")):
        if path.name == EACH_DATASET:
            for dataset in results.datasets():
                yield Path("docs/results") / f"{dataset}.md", _filled(environment, path, dataset=dataset)
        else:
            yield Path("" if path.stem == "README.md" else "docs") / path.stem, _filled(environment, path)


def _filled(environment: Environment, path: Path, **values: str) -> str:
    try:
        text = environment.get_template(path.name).render(values)
    except (TemplateError, UserError, TypeError, ValueError) as error:
        raise UserError(f"{path}:{_line(error, path)}: {reason_of(error)}") from None
    return WRITTEN.format(path.as_posix()) + text


def _line(error: Exception, path: Path) -> int:
    """Return the line of the template on which an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno or 0 for frame in frames if Path(frame.filename).name == path.name]
    return getattr(error, "lineno", None) or (lines[-1] if lines else 0)
