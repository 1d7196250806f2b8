"""What a net is shown of an image: short side resized to SIZE pixels, centre SIZE x SIZE cut out."""

SIZE = 224
