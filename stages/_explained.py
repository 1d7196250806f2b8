"""The head whose scores the heat maps explain."""

from deepcovid.heads.head_files import read_head
from deepcovid.heatmaps.explained import Explained
from deepcovid.heatmaps.occlusion import Window
from deepcovid.parameters import Parameters
from stages import paths


def explained_by(parameters: Parameters, dataset: str, model: str) -> Explained:
    """Return a net's head as the evaluate stage handed it on, with the window that slides over images."""
    file = paths.handed_on(dataset, "explained") / model / "head.safetensors"
    head = read_head(file, (dataset, model, parameters.heatmap_recipe))
    options = parameters.heatmaps
    return Explained(model, head, Window(options.window, options.stride, options.fill), parameters.features)
