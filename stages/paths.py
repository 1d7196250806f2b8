"""Paths of all files and folders that stages read and write. dvc.yaml names the same ones.

The `deepcovid` command does not import this module, and names the few folders that it needs itself.
"""

from pathlib import Path

from deepcovid.parameters import RunParameters

PARAMS = Path("params.yaml")
REFERENCE = Path("reference")
PUBLISHED = REFERENCE / "published.yaml"
CHECKLISTS = REFERENCE / "checklists.yaml"
SOURCES = REFERENCE / "sources.yaml"
RESOLVED = Path("resolved")
PLOTS = Path("plots")
RESULTS = Path("results")
REPLAYED = RESULTS / "replayed"
UNFINISHED = Path("unfinished")


def resolved(dataset: str) -> Path:
    """Return the file that spells out what a data set runs with, kept by git."""
    return RESOLVED / f"{dataset}.json"


def data(dataset: str, name: str) -> Path:
    """Return a file or folder that DVC keeps."""
    return Path("data") / dataset / name


def spare_copies(dataset: str) -> Path:
    """Return the folder of the copies of COVID images that only other splits train on: pixels.npy and images.csv."""
    return data(dataset, "spare")


def weights(dataset: str, model: str) -> Path:
    """Return the file of a net's weights."""
    return data(dataset, f"weights/{model}.safetensors")


def features(dataset: str, model: str, of: str = "images") -> Path:
    """Return the file of a net's features.

    `of` says which: of the `images`; of the `spare` copies; of the images with squares `hidden`; or of the images by an
    `untrained` net of the same kind.
    """
    return data(dataset, f"features/{model}/{of}.npy")


def external_features(dataset: str, images: str) -> Path:
    """Return the folder of the test images of another data set: images.csv, and the nets' features, <net>.npy."""
    return data(dataset, f"external/{images}")


def head(dataset: str, run: RunParameters) -> Path:
    """Return the file of a run's heads. Heads on a whole net are not kept: they cannot score any other image."""
    return of_net(dataset, "heads", run.model) / f"{run.recipe}.safetensors"


def scores(dataset: str, run: RunParameters) -> Path:
    """Return the file of a run's scores of the test images."""
    if run.whole_net:
        return replayed(dataset, run.model, run.recipe, "scores")
    return of_net(dataset, "scores", run.model) / f"{run.recipe}.csv"


def training(dataset: str, run: RunParameters) -> Path:
    """Return the file of a run's training log."""
    if run.whole_net:
        return replayed(dataset, run.model, run.recipe, "log")
    return of_net(dataset, "training", run.model) / f"{run.recipe}.csv"


def of_net(dataset: str, what: str, model: str) -> Path:
    """Return the folder of a net's heads, scores or logs on frozen features."""
    return data(dataset, f"{what}/frozen/{model}")


def remembered(dataset: str) -> Path:
    """Return the folder in which `train` and `ladder` remember what they trained; neither DVC nor git keeps it."""
    return data(dataset, "remembered")


def replayed(dataset: str, model: str, recipe: str, what: str) -> Path:
    """Return a table that a replay wrote, `scores` or `log`, kept by git."""
    return REPLAYED / dataset / f"{model}-{recipe}-{what}.csv"


def handed_on(dataset: str, name: str) -> Path:
    """Return a folder with copies of what other stages need of single runs. Its name is one of:

    explained  <net>/head.safetensors and <net>/scores.csv, the heads and scores that a net's heat maps explain
    audited    <net>-<recipe>.csv, the scores under the audits' recipe, and the heads of audited nets
    replayed   <net>-<recipe>.csv, the scores of whole nets
    """
    return data(dataset, f"handed_on/{name}")


def metrics(dataset: str) -> Path:
    """Return the folder of the few numbers of each run that people compare, <run>.json, kept by git."""
    return Path("metrics") / dataset


def audit_metrics(dataset: str) -> Path:
    """Return the folder of the few numbers of each audit that people compare, kept by git."""
    return Path("metrics/audits") / dataset


def results(dataset: str, name: str) -> Path:
    """Return a file of results, kept by git."""
    return RESULTS / dataset / f"{name}.json"


def resplit(dataset: str, model: str, what: str) -> Path:
    """Return a table of results of heads that were trained or chosen on other images, kept by git.

    `splits` is for other splits by patient. `halves` is for heads whose epoch is chosen on one half of the test images.
    """
    return RESULTS / dataset / "resplit" / model / f"{what}.csv"


def elsewhere(dataset: str) -> Path:
    """Return the folder of what heads reach on other people's images, kept by git.

    For each test set it has <images>.json, and in <images>/ a table of scores per net, <net>.csv, and review.json.
    """
    return RESULTS / dataset / "external"


def curves(dataset: str) -> Path:
    """Return the folder of a data set's tables behind plots, kept by git."""
    return RESULTS / dataset / "curves"


def picture(dataset: str, model: str) -> Path:
    """Return a picture of heat maps that shows no patient, kept by git."""
    return PLOTS / "heatmaps" / dataset / f"{model}.png"


def beside(dataset: str, model: str, images: str) -> Path:
    """Return a picture of the mean maps of images with and without COVID-19, kept by git."""
    return PLOTS / "heatmaps" / dataset / f"{model}-beside-{images}.png"


def contact_sheet(dataset: str) -> Path:
    """Return a picture of a few images of a data set, kept by DVC."""
    return Path("data/contact_sheets") / f"{dataset}.png"


def provenance_of_weights(dataset: str) -> Path:
    """Return the folder that says where a data set's weights came from, kept by git."""
    return Path("provenance") / dataset / "weights"


def provenance(dataset: str, name: str) -> Path:
    """Return a file that says where bytes came from, kept by git."""
    return Path("provenance") / dataset / f"{name}.json"


def unfinished(stage: str, dataset: str, item: str) -> Path:
    """Return the folder in which a running stage keeps finished parts of its work; neither DVC nor git keeps it.

    `item` is the net that the stage runs, or the data set whose images it uses.
    """
    return UNFINISHED / stage / dataset / item
