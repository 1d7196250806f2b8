"""Fetch or draw other people's images, keep the wanted ones and decode them, in one go: they are not trained on."""

from deepcovid.parameters import Parameters
from stages import _run
from stages.augment import augment
from stages.download import download
from stages.split import split


def external_images(parameters: Parameters, dataset: str) -> None:
    download(parameters, dataset)
    split(parameters, dataset)
    augment(parameters, dataset)


if __name__ == "__main__":
    _run.run(external_images)
