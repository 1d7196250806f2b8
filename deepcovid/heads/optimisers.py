"""The steps of the recipes' optimisers, for many heads at once."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from deepcovid.settings.recipes import Adam, Sgd


def direction(optimiser: Adam | Sgd, gradient: Tensor) -> Callable[[], Tensor]:
    """Return a function that computes the next step, at learning rate 1, from the present values of `gradient`.

    It calls the kernels behind torch.optim's fused optimisers. A step is so small that a call through torch.optim would
    take several times as long. Options that a recipe does not name have the defaults of torch.optim's classes.
    """
    step = torch.zeros_like(gradient)
    common: dict[str, Any] = {"lr": 1.0, "weight_decay": 0.0, "maximize": False}
    if isinstance(optimiser, Sgd):
        momentum = [torch.zeros_like(gradient)] if optimiser.momentum else []
        options = common | {"momentum": optimiser.momentum, "dampening": 0.0, "nesterov": False, "is_first_step": False}
        update: Callable[[], Any] = partial(torch._fused_sgd_, [step], [gradient], momentum, **options)
    else:
        first, second, count = torch.zeros_like(gradient), torch.zeros_like(gradient), torch.zeros_like(gradient[0])
        options = common | {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "amsgrad": False}
        kernel = partial(torch._fused_adam_, [step], [gradient], [first], [second], [], [count], **options)

        def update() -> None:
            count.add_(1)
            kernel()

    def next_step() -> Tensor:
        step.zero_()
        update()
        return step

    return next_step
