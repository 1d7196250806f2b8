"""The ladder: from one recipe to another, a switch at a time, and every combination of the switches.

A switch is a key of a recipe. Rungs on frozen features are trained here, all of a net together; those that need the
whole net (`Recipe.whole_net`) are given, and left out where they were not run.
"""

from deepcovid.ladder.finding import finding
from deepcovid.ladder.measuring import measured, rows
from deepcovid.ladder.rungs import rungs, subsets
from deepcovid.ladder.training import Scores, train_and_score

__all__ = ["Scores", "finding", "measured", "rows", "rungs", "subsets", "train_and_score"]
