"""Writes what every audit leaves: its result, and its headline among the metrics."""

from deepcovid.audits.audit import Audit
from deepcovid.files import replacing
from deepcovid.statistics.estimate import Headline, write_result
from stages import paths


def write(found: Audit, dataset: str, name: str, headline_name: str = "") -> None:
    """Write an audit's result, and its headline as one metrics file, or as a folder with one file per net.

    `headline_name` is the name among the metrics, if it differs from `name`.
    """
    headline, metrics = found.headline(), paths.audit_metrics(dataset)
    if isinstance(headline, Headline):
        write_result(metrics / f"{headline_name or name}.json", headline)
    else:
        with replacing(metrics / (headline_name or name)) as folder:
            folder.mkdir()
            for model, own in headline.items():
                write_result(folder / f"{model}.json", own)
    write_result(paths.results(dataset, name), found)
