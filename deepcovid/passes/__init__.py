"""Passes over the rows of a table: who does the work, and how finished work survives if the process is killed.

shards.py      work on the rows of a table, cut into shards; finished ones survive a kill
forked.py      functions called at the same time, by processes of this machine
executors.py   who does it: this process, several, or a cluster
remembered.py  results that are remembered from run to run, so that the same work is not done again
"""
