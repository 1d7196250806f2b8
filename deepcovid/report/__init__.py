"""The report of a data set: tables in, one HTML page out that needs no network.

Nothing here reads a file of the pipeline or knows how it was run.

contents.py   what must be handed in
sections.py   what stands where on the page
figures.py    tables in, a figure out
tables.py     numbers as tables of text
sentences.py  sentences that are computed from results
audit.py      the section on how far the scores can be trusted
heatmaps.py   the section on where in the image the scores come from
page.py       fills the template
"""
