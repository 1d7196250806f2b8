"""The nets the pipeline knows, by torchvision's name, with the paper's. Adding one is adding a line here."""

# The paper trains the first four; its introduction says DenseNet-161 where its experiments say DenseNet-121, and it
# does not say which SqueezeNet, so those are options.
BACKBONES = {
    "resnet18": "ResNet18",
    "resnet50": "ResNet50",
    "squeezenet1_0": "SqueezeNet",
    "densenet121": "DenseNet-121",
    "densenet161": "DenseNet-161",
    "squeezenet1_1": "SqueezeNet 1.1",
}
