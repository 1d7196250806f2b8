"""Deep-COVID (Minaee et al. 2020), rerun: from chest radiographs to the paper's tables. Not for diagnosis.

The library lies in rooms. A room imports only from those named after it, and all import from the base at the end.

commands/    the command `deepcovid`
report/      one page a data set: sections, figures, tables
audits/      what a split leaks, and what a classifier may be looking at instead of disease
ladder/      which switch between two recipes makes the difference
heatmaps/    where in an image a score comes from
drawing/     what pages are made of
statistics/  numbers about scores, and how sure they are
heads/       the trained last layer: training, replays, files, prediction
nets/        frozen nets: architectures, weights, features
sources/     one module a source of images
images/      from archive members to pixels
passes/      work in shards: who does it, and how it outlives a kill

settings/      the schema of params.yaml: every knob, its type and its range
parameters.py  every value that a data set runs with, merged from params.yaml
schema.py      what schemas of files share, and one line that says what is wrong in a file
catalogue.py   the table that stages hand on, a row an image
filtering.py   which images of the catalogue go on
splitting.py   train and test
files.py       writing files so that nothing half-written is ever left; reading what is whole
archives.py    zip archives and folders, read by member
arrays.py      arrays on disk, written row by row
recorded.py    dvc.lock, and the hashes that DVC records
fetching.py    files from a mirror folder or their official source
errors.py      the errors that users see
progress.py    progress bars and warnings
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepcovid.heads.prediction import load_head as load_head

__version__ = "0.1.0"
RESEARCH_ONLY = "Research only, not for diagnosis."  # said beside every score


def __getattr__(name: str) -> Any:
    """Return `load_head`, which imports torch, only when it is asked for."""
    if name == "load_head":
        from deepcovid.heads.prediction import load_head

        return load_head
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
