"""Frozen nets: torchvision's architectures without their last layer.

zoo.py       the nets the pipeline knows, a line each
trunks.py    a net without its last layer, and its file of weights
weights.py   ImageNet weights, a file, or seeded random ones
features.py  one vector an image from a frozen net
"""
