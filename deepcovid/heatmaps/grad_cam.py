"""Grad-CAM (Selvaraju et al. 2017) beside the occlusion maps: captum's, on a net's last convolutional stage."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from captum.attr import LayerAttribution, LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from deepcovid.arrays import load_array
from deepcovid.files import Known
from deepcovid.nets.features import net_in_worker, normalised, on_device
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import FeatureSettings


def grad_cam(
    model: str, net: nn.Module, images: NDArray[np.uint8], margin: NDArray[np.float32], settings: FeatureSettings
) -> Iterator[NDArray[np.float32]]:
    """Yield a map per image, float32 (height, width), 0 or more: which places speak for COVID-19.

    Each channel of the last convolutional stage is weighted with the mean gradient of the logit margin, and the
    positive part of the sum is brought to the image's size (bilinear). Heads are linear, so the margin is in logits,
    and the score's own saturation does not enter.

    Args:
        model: Its name in the zoo.
        net: What `deepcovid.nets.trunks.trunk` returns.
        images: (images, height, width, 1 or 3).
        margin: (features), the head's weight of covid less that of non.
        settings: Device, precision and batch size.

    Raises:
        UserError: The device is not there.
    """
    net, device, dtype = on_device(net, settings)
    weight = torch.as_tensor(margin, device=device)

    def logit_margin(batch: Tensor) -> Tensor:
        return net(batch).flatten(1).float() @ weight

    explainer = LayerGradCam(logit_margin, net.get_submodule(NETS[model].last_stage))
    for start in range(0, len(images), settings.batch_size):
        part = images[start : start + settings.batch_size]
        # The net is frozen: captum makes gradients start at the stage's output, and the rest runs without.
        batch = normalised(torch.tensor(part, device=device)).to(dtype)
        heat = explainer.attribute(batch, relu_attributions=True).detach().float()
        maps = LayerAttribution.interpolate(heat, part.shape[1:3], interpolate_mode="bilinear")
        yield from maps[:, 0].cpu().numpy()


class GradCamPass(NamedTuple):
    """A pass over images, for `deepcovid.passes`: maps, float32 (images, height, width).

    Attributes:
        model: The net's name in the zoo.
        weights: The net, as `deepcovid.nets.trunks.write_state` wrote it.
        pixels: Images, uint8 (images, height, width, 1 or 3).
        images: Which of them get maps.
        margin: (features), the head's weight of covid less that of non.
        settings: Device, precision and batch size.
    """

    model: str
    weights: Known
    pixels: Known
    images: list[int]
    margin: NDArray[np.float32]
    settings: FeatureSettings

    @property
    def rows(self) -> int:
        """How many images get maps."""
        return len(self.images)

    @property
    def batch_size(self) -> int:
        """How many images the net sees at a time."""
        return self.settings.batch_size

    def __call__(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the maps of the images from `start` to before `stop`.

        Raises:
            UserError: As `grad_cam`; or weights or pixels are not what they were.
        """
        net = net_in_worker(self.weights, self.settings)
        images = load_array(self.pixels.checked())[self.images[start:stop]]
        return np.stack(list(grad_cam(self.model, net, images, self.margin, self.settings)))
