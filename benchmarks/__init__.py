"""Timings, and attacks on the pipeline; all are run by hand."""
