"""Passes over the rows of a table: who does the work, and how what is finished outlives the process that did it.

shards.py     work on the rows of a table, in shards that outlive a kill
forked.py     functions called at the same time, by processes of this machine
executors.py  who does it: this process, several, or a cluster
"""
