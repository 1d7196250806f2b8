"""torchxrayvision's DenseNet-121, which was trained on chest X-rays (Cohen et al. 2022, MIDL; Apache-2.0).

Its layers are those of torchvision's DenseNet-121 and have the same names, but it takes one channel and tells findings
instead of ImageNet's classes. torchxrayvision is not imported for it: the import switches off Python's warnings
everywhere.

CheXpert is among the collections that its published weights were trained on, and the paper's images without COVID-19
are CheXpert's. The net may thus have seen test images before.
"""

import torch
from torch import Tensor, nn
from torchvision.models import DenseNet

from deepcovid.images.transform import MEAN, STD

NAME = "xrv_densenet121"
CUT_OFFS = "op_threshs"  # of the findings; torchxrayvision keeps them in the state dict beside the weights
_COMMAND = (
    'python -c "import torchxrayvision as xrv, safetensors.torch as arrays; '
    "arrays.save_file(xrv.models.DenseNet(weights='densenet121-res224-all').state_dict(), "
    f"'{NAME}.safetensors')\""
)
REMEDY = (
    "torchxrayvision publishes a pickled net, which may hold code and is never loaded here; where there is a network, "
    f"have torchxrayvision make a plain file of it with `{_COMMAND}`; put that file at weights/ in a folder that "
    "DEEPCOVID_MIRROR names, or into the folder that weights.source names; or choose random weights with "
    "weights.source: random"
)


class ChestXrayNet(DenseNet):  # type: ignore[misc]
    """torchxrayvision's net, which takes the images that all nets are given here, (batch, 3, side, side).

    torchxrayvision brings images to 224 x 224 pixels, the size that it was trained on. Here it sees the size it is
    given, as the other nets do.

    Attributes:
        CLASSES: How many findings its last layer tells apart.
    """

    CLASSES = 18

    def __init__(self) -> None:
        super().__init__(num_classes=self.CLASSES)
        first = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(first.weight)  # as both packages draw it
        self.features.conv0 = first

    def forward(self, images: Tensor) -> Tensor:
        """Return a number for each finding, (batch, 18)."""
        return super().forward(grey_levels(images))


def grey_levels(images: Tensor) -> Tensor:
    """Return images (batch, 3, side, side) as the net was trained on them: (batch, 1, side, side), -1024 to 1024.

    They come with ImageNet's mean and deviation taken out, which are put back. Black becomes -1024 and white 1024.
    """
    mean, deviation = (torch.tensor(values, device=images.device).reshape(3, 1, 1) for values in (MEAN, STD))
    shares = (images * deviation + mean).mean(1, keepdim=True)  # 0..1, in single precision
    return ((2 * shares - 1) * 1024).to(images.dtype)
