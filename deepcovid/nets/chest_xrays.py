"""torchxrayvision's DenseNet-121, which was trained on chest X-rays (Cohen et al. 2022, MIDL; Apache-2.0).

Its layers are those of torchvision's DenseNet-121 and have the same names. But it takes images of one channel, and its
outputs are findings instead of ImageNet's classes. We build it without importing torchxrayvision, because that import
switches off Python's warnings everywhere.

Its published weights were trained on several collections, among them CheXpert. The paper's images without COVID-19 are
from CheXpert too. So the net may have seen test images before.
"""

import torch
from torch import Tensor, nn
from torchvision.models import DenseNet

from deepcovid.images.transform import MEAN, STD

NAME = "xrv_densenet121"
CUT_OFFS = "op_threshs"  # cut-offs of the findings, which torchxrayvision keeps in the state dict
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
    """torchxrayvision's net, adapted to take the same images as all other nets here, (batch, 3, side, side).

    torchxrayvision resizes images to 224 x 224 pixels, the size of its training images. Here, as with the other nets,
    images keep the size of the data set.

    Attributes:
        CLASSES: Number of findings that its last layer gives.
    """

    CLASSES = 18

    def __init__(self) -> None:
        super().__init__(num_classes=self.CLASSES)
        first = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(first.weight)  # both packages initialise it like this
        self.features.conv0 = first

    def forward(self, images: Tensor) -> Tensor:
        """Return one number per finding, (batch, 18)."""
        return super().forward(grey_levels(images))


def grey_levels(images: Tensor) -> Tensor:
    """Convert images (batch, 3, side, side) to what the net was trained on: (batch, 1, side, side), -1024 to 1024.

    The images are normalised by ImageNet's mean and standard deviation, which is undone first. Black becomes -1024
    and white 1024.
    """
    mean, deviation = (torch.tensor(values, device=images.device).reshape(3, 1, 1) for values in (MEAN, STD))
    shares = (images * deviation + mean).mean(1, keepdim=True)  # 0..1, in single precision
    return ((2 * shares - 1) * 1024).to(images.dtype)
