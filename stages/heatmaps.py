"""Find where in the image the score of the shown head comes from, with a window that slides over it and by Grad-CAM."""

import numpy as np

from deepcovid import catalogue
from deepcovid.arrays import ArrayWriter
from deepcovid.errors import UserError
from deepcovid.files import replacing, write_csv
from deepcovid.heads.head_files import read_head
from deepcovid.heads.scoring import heads_of, score
from deepcovid.heatmaps.grad_cam import grad_cam
from deepcovid.heatmaps.occlusion import Window, occlusion
from deepcovid.heatmaps.selection import choose
from deepcovid.nets.trunks import read_state, trunk
from deepcovid.parameters import Parameters
from stages import _run, paths
from stages._pixels import read_pixels
from stages.runs import read_score_table


def heatmaps(parameters: Parameters, dataset: str, model: str) -> None:
    target = paths.data(dataset, f"heatmaps/{model}")
    if not parameters.nets[model].runs:
        _run.leave_nothing([target], f"{model} is not named in models, so that its scores are not traced")
        return
    options, recipe = parameters.heatmaps, parameters.heatmap_recipe
    explained, cut_off = paths.handed_on(dataset, "explained") / model, parameters.trained[recipe].cut_off
    scores = read_score_table(explained / "scores.csv")
    head = read_head(explained / "head.safetensors")
    test = scores[["image_id", "label", "patient_id"]].assign(score=heads_of(scores).iloc[:, head.shown])
    chosen = choose(test, cut_off, options.images)

    table, pixels = catalogue.read(paths.data(dataset, "images.csv")), read_pixels(dataset, parameters.image_size)
    known = chosen["image_id"].isin(table["image_id"]).all()
    if not known or len(pixels) != len(table):
        raise UserError(
            f"{paths.data(dataset, 'images.csv')}: not the table of the images in pixels.npy, or not of the scores of "
            f"{model}-{recipe}; run `dvc repro`, which makes them anew"
        )
    images = pixels[table.reset_index().set_index("image_id")["index"][chosen["image_id"]]]
    net = trunk(*read_state(paths.weights(dataset, model)))
    weight, bias = head.shown_head()
    window = Window(options.window, options.stride, options.fill)
    maps = {
        "occlusion": occlusion(
            net, images, lambda features: score(features, weight, bias)[:, 0], window, parameters.features
        ),
        "grad_cam": grad_cam(model, net, images, weight[0, :, 0] - weight[0, :, 1], parameters.features),
    }
    with replacing(target) as folder:
        folder.mkdir()
        write_csv(folder / "images.csv", chosen, digits=17)
        for name, found in maps.items():
            with ArrayWriter(folder / f"{name}.npy", images.shape[1:3], np.float32) as writer:
                for heat in found:
                    writer.append(heat[None])


if __name__ == "__main__":
    _run.run(heatmaps)
