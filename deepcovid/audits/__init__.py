"""What a split leaks, and what a classifier may be looking at instead of disease.

registry.py         which audits there are, and what they say together
audit.py            what every audit offers: headline, sentences, figures and tables
enough.py           what one needs to know to reach which AUC, over all audits
verdict.py          what the score means, in five sentences
reliability.py      how often images with a score are COVID, on one's own and on other people's images
leakage.py          is a test image also in training: the same file, the same pixels, nearly, or the same patient?
near_duplicates.py  pairs of images that are nearly the same picture
keypoints.py        points by which two images are the same picture
acquisition.py      does how an image was taken give its label away?
headers.py          what a file's header says of how it was taken
baselines.py        how little of an image is enough?
hidden.py           what heads reach on images with their middle hidden
dials.py            what the audits read on phantoms whose truth is known
hiding.py           images with their middle hidden
changed.py          the same heads on changed images
collection.py       how far one gets without COVID-19, by learning the collection
external.py         heads on other people's images
parts.py            what scores reach on parts of a test set, and across two collections
unseen.py           which images of a test set heads may be tested on

An audit is a module with a subclass of Audit, whose fields are what it found, and the function that finds it. Its stage
calls the function and writes the result; everything that is told of it is a method of the class.

The method's papers: Maguolo and Nanni 2021, DeGrave, Janizek and Lee 2021.
"""
