"""Write down what each data set runs with: every parameter, and for each stage its code and packages.

What users write is checked first: params.yaml, published numbers, and the table of their own images.
"""

import shutil

from deepcovid.files import expanded, replacing, write_json
from deepcovid.nets.zoo import NETS
from deepcovid.parameters import Settings
from stages import _fingerprints, _run, paths
from stages._resolved import read_published, resolved


def resolve(settings: Settings) -> None:
    for dataset in (*settings.datasets, *settings.test_sets):
        check_own_images(settings, dataset)
    read_published()
    stages = [stage for stage in _fingerprints.stages() if stage != "resolve"]
    with replacing(paths.RESOLVED) as folder:
        folder.mkdir()
        for dataset in settings.dataset:
            write_json(folder / paths.resolved(dataset).name, resolved(settings, dataset, stages))
    for folder in paths.UNFINISHED.glob("*/*/*"):  # left by stopped work that no stage will finish
        if folder.parent.name not in settings.dataset or folder.name not in {*settings.dataset, *NETS}:
            shutil.rmtree(folder)
    # Stages read these folders, even where there is no replay and no test set.
    for folder in (paths.REPLAYED, *(paths.data(dataset, "external") for dataset in settings.datasets)):
        folder.mkdir(parents=True, exist_ok=True)


def check_own_images(settings: Settings, dataset: str) -> None:
    """Raise UserError if a user's own images and their table do not fit together.

    Once the images have been copied, the originals may be gone.
    """
    source = settings.dataset[dataset].source
    copied = paths.data(dataset, "catalogue.csv").exists()
    if source.kind != "folder" or (copied and not expanded(source.table).is_file()):
        return
    from deepcovid.sources import folder  # imported only here, since it takes a second

    with folder.labelled(*folder.places(source)):
        pass


if __name__ == "__main__":
    _run.run(resolve)
