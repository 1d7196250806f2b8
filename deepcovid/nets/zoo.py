"""The nets that the pipeline knows, by torchvision's name. To add a net, add a line; tests/test_zoo.py checks it.

Nets that torchvision does not have are our own classes; `OTHERS` in trunks.py names them.

Stages do not track the code of this file. They track their nets' lines in the resolved parameters, so a new line makes
no result stale.
"""

from deepcovid.settings.analyses import Net

# The paper trains the first four. Its introduction says DenseNet-161, but its experiments say DenseNet-121. It does not
# say which version of SqueezeNet it used. So the alternatives are here too.
NETS = {
    "resnet18": Net(title="ResNet18", last_layer="fc", last_stage="layer4"),
    "resnet50": Net(title="ResNet50", last_layer="fc", last_stage="layer4"),
    "squeezenet1_0": Net(title="SqueezeNet", last_layer="classifier", last_stage="features", averages=True),
    "densenet121": Net(title="DenseNet-121", last_layer="classifier", last_stage="features"),
    "densenet161": Net(title="DenseNet-161", last_layer="classifier", last_stage="features"),
    "squeezenet1_1": Net(title="SqueezeNet 1.1", last_layer="classifier", last_stage="features", averages=True),
    "xrv_densenet121": Net(title="DenseNet-121 (chest X-rays)", last_layer="classifier", last_stage="features"),
}


def title_of(model: str) -> str:
    """Return the paper's name for a net, or `model` itself if the net is not known."""
    return NETS[model].title if model in NETS else model
