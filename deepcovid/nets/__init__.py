"""Frozen nets: torchvision's architectures, and one of torchxrayvision, without their last layer.

zoo.py          the nets that the pipeline knows, one line per net
chest_xrays.py  torchxrayvision's DenseNet-121
trunks.py       a net without its last layer, and the file of its weights
weights.py      weights that are published, from a file, or random with a seed
features.py     one vector per image from a frozen net
"""
