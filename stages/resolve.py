"""Spell out what each data set runs with: every parameter, and for each stage its code and packages.

Everything that a user may have written wrongly is checked here, before anything runs.
"""

from deepcovid.files import replacing, write_json
from deepcovid.parameters import Settings
from stages import _fingerprints, _run, paths
from stages._resolved import read_published, resolved


def resolve(settings: Settings) -> None:
    read_published()
    stages = [stage for stage in _fingerprints.stages() if stage != "resolve"]
    with replacing(paths.RESOLVED) as folder:
        folder.mkdir()
        for dataset in settings.dataset:
            write_json(folder / paths.resolved(dataset).name, resolved(settings, dataset, stages))
    paths.REPLAYED.mkdir(parents=True, exist_ok=True)  # stages read all of it, and nothing is in it before a replay


if __name__ == "__main__":
    _run.run(resolve)
