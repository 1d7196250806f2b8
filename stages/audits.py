"""Ask what a score means: whether the test leaks, how little of an image is enough, what the heads look at."""

from functools import partial

from deepcovid.parameters import Parameters
from deepcovid.passes.forked import at_once
from stages import _run
from stages._baselines import baselines
from stages._changed import changed
from stages._hidden import hidden
from stages._leakage import leakage

AUDITS = (leakage, baselines, hidden, changed)


def audits(parameters: Parameters, dataset: str) -> None:
    at_once([partial(audit, parameters, dataset) for audit in AUDITS])


if __name__ == "__main__":
    _run.run(audits)
