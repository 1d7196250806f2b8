"""Trained heads for tests: random ones, in a folder as the pipeline leaves it."""

import numpy as np
import torch
import torchvision

from deepcovid.files import sha256_of
from deepcovid.heads.gaussian import Gaussian
from deepcovid.heads.head_files import HeadFile, write_head
from deepcovid.nets.trunks import write_state
from deepcovid.settings.recipes import Recipe

MODEL = "squeezenet1_1"
FEATURES = 512
PAPER = {
    "optimiser": {"kind": "adam"},
    "learning_rate": 0.01,
    "schedule": {"kind": "constant"},
    "epochs": 6,
    "batch_size": 20,
    "augmented": True,
    "sampling": "natural",
    "random_crop": False,
    "batch_norm": "evaluation",
    "selection": "last-epoch",
    "selection_on": "test",
    "cut_off": 0.3,
}


def random_head(seeds=(4, 0), features=FEATURES, **changes):
    """Random heads with a standard Gaussian about the training images; change any attribute."""
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.standard_normal((features, 2)))[0].T
    facts = {
        "model": MODEL,
        "weights_sha256": "ab" * 32,
        "dataset": "phantom",
        "recipe": "paper",
        "choices": Recipe.model_validate(PAPER),
        "image_size": 224,
        "seeds": list(seeds),
        "shown": len(seeds) - 1,
        "weight": rng.normal(0, 0.1, (len(seeds), features, 2)).astype(np.float32),
        "bias": rng.standard_normal((len(seeds), 2)).astype(np.float32),
        "training": Gaussian(np.zeros(features), axes, np.array([2.0, 1.5]), 1.0),
        "threshold": 30.0,
    }
    return HeadFile(**facts | changes)


def random_weights(path, model=MODEL):
    """Write random weights, as the weights stage does."""
    torch.manual_seed(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_state(path, model, torchvision.models.get_model(model).state_dict())


def trained_folder(folder, model=MODEL, **changes):
    """Write weights and a head into data/phantom of `folder`; return the head's path."""
    weights, path = (
        folder / f"data/phantom/{name}.safetensors" for name in (f"weights/{model}", f"heads/frozen/{model}/paper")
    )
    random_weights(weights, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_head(path, random_head(**{"model": model, "weights_sha256": sha256_of(weights)} | changes))
    return path
