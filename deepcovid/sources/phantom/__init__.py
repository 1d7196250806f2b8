"""Synthetic chest radiographs: drawn, not photographed, so that the truth about each is known.

anatomy.py     how many centimetres of lung, soft tissue and bone each ray passes
lesions.py     findings with a known place: how many centimetres of lung they fill
imaging.py     Beer-Lambert attenuation, scatter, detector noise, greyscale
processing.py  how each of two collections treats its images
population.py  patients in three groups, with views, repeats and a catalogue
redrawn.py     the same patients without their lesions, or processed as another collection does
source.py      phantoms as a data set
"""
