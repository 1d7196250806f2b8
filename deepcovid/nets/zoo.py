"""The nets the pipeline knows, by torchvision's name. Adding one is adding a line; tests/test_zoo.py checks it.

Nets that torchvision does not have are classes of ours; `OTHERS` in trunks.py names them.

The stages track a net's line in the resolved parameters instead of this file's code, so that adding one makes nothing
stale.
"""

from deepcovid.settings.analyses import Net

# The paper trains the first four; its introduction says DenseNet-161 where its experiments say DenseNet-121, and it
# does not say which SqueezeNet, so those are options.
NETS = {
    "resnet18": Net(title="ResNet18", last_layer="fc", last_stage="layer4"),
    "resnet50": Net(title="ResNet50", last_layer="fc", last_stage="layer4"),
    "squeezenet1_0": Net(title="SqueezeNet", last_layer="classifier", last_stage="features", averages=True),
    "densenet121": Net(title="DenseNet-121", last_layer="classifier", last_stage="features"),
    "densenet161": Net(title="DenseNet-161", last_layer="classifier", last_stage="features"),
    "squeezenet1_1": Net(title="SqueezeNet 1.1", last_layer="classifier", last_stage="features", averages=True),
    "xrv_densenet121": Net(title="DenseNet-121 (chest X-rays)", last_layer="classifier", last_stage="features"),
}
# What the published weights of a net were trained on, where that is not ImageNet.
TRAINED_ON = {"xrv_densenet121": "chest X-ray"}


def title_of(model: str) -> str:
    """Return the paper's name for a net; a name that is not known stays as it is."""
    return NETS[model].title if model in NETS else model


def published_weights_of(model: str) -> str:
    """Return the weights that a net's authors published in a few words, by what they were trained on."""
    return f"{TRAINED_ON.get(model, 'ImageNet')} weights"
