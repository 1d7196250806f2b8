"""What a net is shown of an image: short side resized to SIZE pixels, centre SIZE x SIZE cut out, values scaled."""

SIZE = 224
# ImageNet statistics of red, green and blue in 0..1: the released code's Normalize.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
