"""Where things are. dvc.yaml names the same files; this is the only place in Python that does."""

from pathlib import Path

PARAMS = Path("params.yaml")
REFERENCE = Path("reference")
PUBLISHED = REFERENCE / "published.yaml"
LOCK = Path("dvc.lock")


def data(dataset: str, name: str) -> Path:
    """Return a file or folder that DVC keeps."""
    return Path("data") / dataset / name


def metrics(dataset: str, name: str) -> Path:
    """Return a metrics file, kept by git."""
    return Path("metrics") / dataset / f"{name}.json"


def plots(dataset: str, name: str) -> Path:
    """Return a plot or its data, kept by git."""
    return Path("plots") / dataset / name


def provenance(dataset: str, name: str) -> Path:
    """Return a file that says where bytes came from, kept by git."""
    return Path("provenance") / dataset / f"{name}.json"
