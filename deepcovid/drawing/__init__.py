"""What figures, tables and blocks of a page are made of; nothing here knows what they show.

svg.py     figures as inline SVG in the page's style
marks.py   colours and marks that the figures share
tables.py  numbers as text, and text in tables
titles.py  the names that people read for recipes and switches
blocks.py  a figure, a table or sentences, with the steps that they come from
steps.py   the command behind what is shown
"""
