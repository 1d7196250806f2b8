"""The report of a data set: tables in, one HTML page out that needs no network.

figures.py draws, tables.py sets numbers, sections.py says what stands where, page.py fills the template. Nothing here
reads a file of the pipeline or knows how it was run; contents.py says what must be handed in.
"""
