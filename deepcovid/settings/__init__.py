"""The sections of params.yaml: every knob, its type and its range. The file as a whole is in parameters.py.

types.py     what several sections are made of
datasets.py  where images come from, and every value from there to the seeds of heads
recipes.py   everything that turns features into a head
analyses.py  how nets run, and what is asked of the scores
"""
