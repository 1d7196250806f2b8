"""Deep-COVID (Minaee et al. 2020), rerun: from chest radiographs to the paper's tables. Not for diagnosis."""

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
