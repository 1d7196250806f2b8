"""Numbers about scores, and how sure they are.

estimate.py     a number with its interval, and the files that hold results
runs.py         one run: the scores of a net under a recipe
counts.py       counts of images: of each class, in each cell of a confusion matrix
rates.py        the paper's numbers for one run: rates at the cut-off, areas, how they vary over seeds
curves.py       the tables behind the plots
intervals.py    95 % intervals: the paper's formula, Wilson's, Student's, percentiles
bootstrap.py    the test images drawn again and again, patient by patient
roc_bands.py    a band about a ROC curve
calibration.py  is a share p of the images scored p covid?
clinical.py     predictive values, net benefit, calibration at another prevalence
review.py       what a reviewer asks for: table one, subgroups, and what is in clinical.py
comparison.py   our runs beside published numbers, as precisely as these were published
paired.py       net against net on the same test images
further.py      what epochs past the cap of a replay could have brought
uncertainty.py  how far headlines move with the patients, the split and the seed
views.py        which views are the same
published.py    the schema of reference/published.yaml
"""
