"""How the values of an image are scaled for a net."""

# ImageNet statistics of red, green and blue in 0..1: the released code's Normalize.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
