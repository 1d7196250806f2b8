"""Audits: what a split leaks, and what a classifier may be looking at instead of disease.

One module a question: leakage.py with keypoints.py (is a test image also in training), acquisition.py with headers.py
(does how an image was taken give its label away), baselines.py (how little of the image is enough), hiding.py and
hidden.py (what is left with the middle hidden), external.py and calibration.py (other people's images), verdict.py (all
of it in one paragraph). views.py says which views are the same.
The method's papers: Maguolo and Nanni 2021, DeGrave, Janizek and Lee 2021.
"""
