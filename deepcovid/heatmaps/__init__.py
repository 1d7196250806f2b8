"""Heat maps: where in an image a head's score comes from, and whether that is where the disease is.

selection.py     which images get heat maps
occlusion.py     what covering a place takes from the score (the paper, section 4.7)
grad_cam.py      which places of the last feature map carry the score
explained.py     the maps of one head, with what they depend on
sanity.py        do the maps depend on what was learned, and find what counts?
localisation.py  does the heat lie where the lesions, or the lungs, are?
beside.py        do maps of images without COVID-19 look like those of images with it?
overlays.py      pictures of it
"""
