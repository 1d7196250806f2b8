"""Ask what a score means: whether the test leaks, how little of an image is enough, what the heads look at."""

import shutil
from functools import partial

from deepcovid.parameters import Parameters
from deepcovid.passes.forked import at_once
from stages import _run, paths
from stages._baselines import baselines
from stages._changed import changed
from stages._hidden import hidden
from stages._leakage import leakage

AUDITS = (leakage, baselines, hidden, changed)


def audits(parameters: Parameters, dataset: str) -> None:
    # Nothing has used torch here before: else forked processes could use neither its threads nor CUDA.
    try:
        at_once([partial(audit, parameters, dataset) for audit in AUDITS])
    finally:  # an audit that is ended with its process does not tidy up
        shutil.rmtree(paths.UNFINISHED / "audits" / dataset, ignore_errors=True)


if __name__ == "__main__":
    _run.run(audits)
