"""Writes what every audit leaves: its result, and its headline among the metrics."""

from pathlib import Path

from deepcovid.audits.audit import Audit
from deepcovid.files import replacing
from deepcovid.statistics.estimate import Headline, write_result
from stages import paths


def write(found: Audit, dataset: str, name: str, headline_name: str = "") -> None:
    """Write an audit's result, and its headline as one metrics file, or as a folder with one file per net.

    `headline_name` is the name among the metrics, if it differs from `name`.
    """
    write_headline(found, paths.audit_metrics(dataset) / (headline_name or name))
    write_result(paths.results(dataset, name), found)


def write_headline(found: Audit, target: Path) -> None:
    """Write an audit's headline as the file `target`.json, or as the folder `target` with one file per net."""
    headline = found.headline()
    if isinstance(headline, Headline):
        write_result(target.with_name(f"{target.name}.json"), headline)
        return
    with replacing(target) as folder:
        folder.mkdir()
        for model, own in headline.items():
            write_result(folder / f"{model}.json", own)
