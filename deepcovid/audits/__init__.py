"""What a split leaks, and what a classifier may be looking at instead of disease.

leakage.py      is a test image also in training: the same file, the same pixels, nearly, or the same patient?
keypoints.py    points by which two images are the same picture
acquisition.py  does how an image was taken give its label away?
headers.py      what a file's header says of how it was taken
views.py        which views are the same
baselines.py    how little of an image is enough?
hiding.py       images with their middle hidden
hidden.py       what heads reach on them
external.py     heads on other people's images
verdict.py      all of it in one paragraph

The method's papers: Maguolo and Nanni 2021, DeGrave, Janizek and Lee 2021.
"""
