"""Deep-COVID (Minaee et al. 2020), rerun: from chest radiographs to the paper's tables. Not for diagnosis."""

__version__ = "0.1.0"
