"""Does the project hold under fire? It is killed, its files are damaged, and it is fed mutated inputs.

    python -m benchmarks.attack [--record]

A try ends in one of four ways: the project survives it; it refuses it with one line that a user can act on; it stops
with a traceback; or it accepts wrongly what it should have refused. Everything happens in a temporary folder.

__main__.py   the command, and what it prints and records
tries.py      one try after another, in processes with limits of memory and time
study.py      the whole pipeline on a few tiny phantoms: what is attacked, and what it must be again afterwards
kills.py      stages and `dvc repro` are killed, and run again
dvc_files.py  DVC's own files are cut, or DVC is killed while it writes them
inputs.py     mutated images, archives, tables, parameters, heads, weights and names
outputs.py    a stage reads an output that was damaged
mutations.py  what is done to the bytes of a file
"""
