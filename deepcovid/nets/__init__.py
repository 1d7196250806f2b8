"""Frozen nets: torchvision's architectures, and one of torchxrayvision, without their last layer.

zoo.py          the nets the pipeline knows, a line each
chest_xrays.py  torchxrayvision's DenseNet-121
trunks.py       a net without its last layer, and its file of weights
weights.py      published weights, a file, or seeded random ones
features.py     one vector an image from a frozen net
"""
