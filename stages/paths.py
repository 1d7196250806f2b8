"""Where things are. dvc.yaml names the same files; this is the only place in Python that does."""

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
    """Return the folder of copies of COVID images that other splits train on: pixels.npy and images.csv."""
    return data(dataset, "spare")


def weights(dataset: str, model: str) -> Path:
    """Return a net's weights."""
    return data(dataset, f"weights/{model}.safetensors")


def features(dataset: str, model: str, of: str = "images") -> Path:
    """Return a net's features: of the `images`, of the `spare` copies, of the images with squares `hidden`, or of the
    net `untrained`."""
    return data(dataset, f"features/{model}/{of}.npy")


def external_features(dataset: str, images: str) -> Path:
    """Return the folder of the nets' features of the test images of another data set, `images`: <net>.npy."""
    return data(dataset, f"external/{images}")


def head(dataset: str, run: RunParameters) -> Path:
    """Return a run's heads; those of a whole net are not kept, as no other image can be scored with them."""
    return of_net(dataset, "heads", run.model) / f"{run.recipe}.safetensors"


def scores(dataset: str, run: RunParameters) -> Path:
    """Return a run's scores of the test images."""
    if run.whole_net:
        return replayed(dataset, run.model, run.recipe, "scores")
    return of_net(dataset, "scores", run.model) / f"{run.recipe}.csv"


def training(dataset: str, run: RunParameters) -> Path:
    """Return the log of a run's training."""
    if run.whole_net:
        return replayed(dataset, run.model, run.recipe, "log")
    return of_net(dataset, "training", run.model) / f"{run.recipe}.csv"


def of_net(dataset: str, what: str, model: str) -> Path:
    """Return the folder of a net's heads, scores or logs on frozen features."""
    return data(dataset, f"{what}/frozen/{model}")


def replayed(dataset: str, model: str, recipe: str, what: str) -> Path:
    """Return the table of what a replay left, `scores` or `log`, kept by git."""
    return REPLAYED / dataset / f"{model}-{recipe}-{what}.csv"


def handed_on(dataset: str, name: str) -> Path:
    """Return a folder with copies of what other stages need of single runs.

    explained/<net>/ has the heads and scores that a net's heat maps explain, head.safetensors and scores.csv;
    audited/ the scores under the audits' recipe, <net>-<recipe>.csv, and the heads of audited nets; replayed/ the
    scores of whole nets.
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
    """Return a table of what heads trained or chosen on other images reach, kept by git.

    `splits` has other splits by patient; `halves` recipes whose epoch is chosen on the tested images or on others.
    """
    return RESULTS / dataset / "resplit" / model / f"{what}.csv"


def scores_elsewhere(dataset: str, images: str) -> Path:
    """Return the folder of what heads score another data set's test images, a table for each net, kept by git."""
    return RESULTS / dataset / f"external-{images}"


def curves(dataset: str) -> Path:
    """Return the folder of a data set's tables behind plots, kept by git."""
    return RESULTS / dataset / "curves"


def picture(dataset: str, model: str) -> Path:
    """Return a picture of heat maps in which no patient is, kept by git."""
    return PLOTS / "heatmaps" / dataset / f"{model}.png"


def beside(dataset: str, model: str, images: str) -> Path:
    """Return a picture of the mean maps of images with and without COVID-19, kept by git."""
    return PLOTS / "heatmaps" / dataset / f"{model}-beside-{images}.png"


def contact_sheet(dataset: str) -> Path:
    """Return a picture of a few of a data set's images, which DVC keeps."""
    return Path("data/contact_sheets") / f"{dataset}.png"


def provenance_of_weights(dataset: str) -> Path:
    """Return the folder that says where a data set's weights came from, kept by git."""
    return Path("provenance") / dataset / "weights"


def provenance(dataset: str, name: str) -> Path:
    """Return a file that says where bytes came from, kept by git."""
    return Path("provenance") / dataset / f"{name}.json"


def unfinished(stage: str, dataset: str, item: str) -> Path:
    """Return the folder of what a stage has finished of its work while it runs; neither DVC nor git keeps it.

    `item` is what else the stage is of: a net, or the data set whose images it sees.
    """
    return UNFINISHED / stage / dataset / item
