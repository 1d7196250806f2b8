"""What the epochs that a replay leaves out could have brought, judged by how much its last ones differ."""

import numpy as np
import pandas as pd
from scipy.stats import t

from deepcovid.schema import Strict
from deepcovid.statistics.estimate import Number

LATE = 3  # the last third of the epochs is looked at
FEWEST_EPOCHS = 6  # epochs, of which at least that third can differ


class Further(Strict):
    """How much better an epoch past the cap could be. Accuracies and AUCs are of the images that the log is about.

    Attributes:
        left_out: Epochs of the recipe past the cap.
        late: The last epochs before it, which are looked at.
        lowest: Lowest accuracy of a head in them.
        highest: Highest.
        auc_moves: How far the AUC of one head moves in them, at most.
        kept: Highest accuracy of a head in any epoch so far.
        at_most: What the best of the epochs left out stays below, with a chance of 95 % for each head, if they scatter
            as the late ones do (normally, about the same mean); the highest of the heads. None where the accuracy of no
            head moves in the late epochs.
    """

    left_out: int
    late: int
    lowest: Number
    highest: Number
    auc_moves: Number
    kept: Number
    at_most: Number | None = None

    def sentence(self, run: str) -> str:
        """Return this in words; `run` names the net and its recipe."""
        text = (
            f"{run}: {self.left_out} epochs were left out. In the last {self.late} that ran, the accuracy lay between "
            f"{self.lowest:.4f} and {self.highest:.4f}, and the AUC of a head moved by {self.auc_moves:.3f} at most. "
            f"The best accuracy of all epochs so far is {self.kept:.4f}."
        )
        if self.at_most is None:
            return f"{text} The accuracy of no head moved in them."
        return (
            f"{text} If later epochs scatter as these, a head's best accuracy among them is {self.at_most:.4f} at most "
            "(95 %)."
        )


def further(log: pd.DataFrame, left_out: int) -> Further:
    """Return what epochs past the cap could have brought.

    Args:
        log: A row per head and epoch, as deepcovid.heads.replay writes it; FEWEST_EPOCHS or more.
        left_out: How many epochs the recipe has past those of the log, one or more.
    """
    heads = [name for name in ("seed", "run") if name in log]
    epochs = log["epoch"].nunique()
    number = epochs // LATE
    late = log[log["epoch"] > epochs - number].groupby(heads)
    accuracy, auc = late["test_accuracy"], late["test_auc"]
    # The largest of n independent draws stays below a value if each of them does. Student's t, since the mean and the
    # deviation come from few epochs.
    deviations = float(t.ppf(0.95 ** (1 / left_out), number - 1)) * np.sqrt(1 + 1 / number)
    bound = accuracy.mean() + deviations * accuracy.std(ddof=1)
    return Further(
        left_out=left_out,
        late=number,
        lowest=float(accuracy.min().min()),
        highest=float(accuracy.max().max()),
        auc_moves=float((auc.max() - auc.min()).max()),
        kept=float(log["test_accuracy"].max()),
        at_most=float(np.minimum(bound, 1).max()) if (accuracy.nunique() > 1).any() else None,
    )
