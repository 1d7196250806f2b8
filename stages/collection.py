"""Train heads on a test set's images without COVID-19 as if they had it; test them on real COVID-19 images."""

from deepcovid import catalogue
from deepcovid.audits.collection import Collection, check, collection_of_net, healthy, learned, similar
from deepcovid.parameters import Parameters
from deepcovid.progress import track
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS
from stages import _audit, _run, paths
from stages._features import read_external, read_external_features, read_features


def collection(parameters: Parameters, dataset: str, images: str) -> None:
    table, rows = catalogue.read(paths.data(dataset, "images.csv")), read_external(dataset, images)
    features = {  # of both data sets; read first, because this raises an error if a table is not whole
        model: (
            read_features(dataset, model, len(table)),
            read_external_features(dataset, images, model, len(rows)),
        )
        for model in parameters.retrained_models
    }
    check(rows, f"--images {images}")
    taken = learned(rows, table)
    recipe = parameters.trained[parameters.audit.recipe]
    settings = parameters.seeds, parameters.evaluate, parameters.audit.seed
    nets = {}
    enough = catalogue.patients(rows)[taken.rows].nunique() >= FEWEST_PATIENTS
    models = parameters.retrained_models if enough else []
    for model in track(models, "training without COVID-19", unit="nets"):
        own, other = features[model]
        nets[model] = collection_of_net((table, own), (rows, other), taken.rows, recipe, *settings)
    found = Collection(
        heads=dataset,
        images=images,
        recipe=parameters.audit.recipe,
        learned=int(taken.rows.sum()),
        healthy=int((taken.rows & healthy(rows)).sum()),
        similar=int(similar(table).sum()),
        left_out=taken.left_out,
        nets=nets,
    )
    _audit.write(found, dataset, f"collection/{images}", f"from/{images}")


if __name__ == "__main__":
    _run.run(collection)
