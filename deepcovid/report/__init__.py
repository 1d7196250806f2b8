"""The report of a data set, one HTML page that needs no network, and the pages of docs.

Of the report:

contents.py   what must be handed in
sections.py   what stands where on the page
figures.py    tables in, a figure out
tables.py     numbers as tables of text
sentences.py  sentences that are computed from results
audit.py      the section on how far the scores can be trusted
cause.py      why the failed reproduction fails, in sentences
test_sets.py the section on each test set: matrix, ROC curve, scores
heatmaps.py   the section on where in the image the scores come from
details.py    sections on published numbers, nets, data and weights, parameters
review.py     the sections of the page of what a reviewer asks for
checklists.py what reporting checklists ask for, and who reports it
page.py       fills the template
own_images.py the page of `deepcovid test`

Of docs:

pages.py      fills the templates of README and docs
results.py    finds results by name in the folder that holds them
markdown.py   a data set's results as tables and lists of Markdown
"""
