"""Keep the images whose view and modality are wanted, and divide them into train and test; count both."""

from deepcovid import catalogue
from deepcovid.files import write_json
from deepcovid.filtering import filter_images
from deepcovid.parameters import Parameters
from deepcovid.splitting import split_images
from stages import _run, paths
from stages._counts import counted


def split(parameters: Parameters, dataset: str) -> None:
    listed = counted(paths.provenance(dataset, "data"), "images")
    table = catalogue.read(paths.data(dataset, "catalogue.csv"), listed)
    kept, kept_counts = filter_images(table, parameters.filter)
    chosen, chosen_counts = split_images(catalogue.checked(kept, dataset), parameters.split)
    catalogue.write(paths.data(dataset, "split.csv"), chosen)
    write_json(paths.results(dataset, "filter"), kept_counts)
    write_json(paths.results(dataset, "split"), chosen_counts)


if __name__ == "__main__":
    _run.run(split)
