"""Why the failed reproduction fails, as far as the log of its training and the ladder show it."""

from collections.abc import Iterator

from deepcovid.heads.schedules import factor
from deepcovid.ladder.measuring import NetLadder
from deepcovid.report.contents import ShownRun
from deepcovid.settings.recipes import Recipe

DEAD = 1e-3  # of the learning rate at the start
SAME = 1e-5  # accuracies in a log have six digits


def cause(run: ShownRun, recipe: Recipe, ladder: NetLadder) -> Iterator[str]:
    """Yield why the heads of a run fail; nothing where none calls every image alike.

    Each sentence is there only where the log shows it. That of the learning rate also needs the ladder: a smallest
    repair must change the schedule.
    """
    if not run.result.collapsed_heads:
        return
    log, majority = run.log, run.result.majority_accuracy
    heads = log.groupby([name for name in ("seed", "run") if name in log])["test_accuracy"]
    left = int((heads.max() > majority + SAME).sum())
    if left:
        yield (
            f"In {left} of {heads.ngroups} heads the test accuracy rises above {_percent(majority)}, what calling "
            "every image non-COVID reaches. A learning rate that ends early does not explain those."
        )
        return
    dead = next((epoch for epoch in sorted(log["epoch"].unique()) if factor(recipe.schedule, epoch) <= DEAD * 1.01), 0)
    if dead and any("schedule" in subset for subset in ladder.smallest):
        yield (
            "The learning rate dies before a head has left its prior, which is to give every image the more frequent "
            f"answer. From epoch {dead} on, a thousandth of the rate is left."
        )
    if recipe.selection == "best-accuracy" and recipe.selection_on == "test":
        kept = log.loc[heads.idxmax(), "epoch"]
        if kept.nunique() == 1:
            epoch = "the first epoch" if kept.iloc[0] == 1 else f"epoch {kept.iloc[0]}"
            yield (
                f"Selection by accuracy keeps {epoch}, because calling every image non-COVID is already right "
                f"{_percent(majority)} of the time. No later epoch of the {heads.ngroups} heads is right more often."
            )
        if ladder.smallest and ["selection"] not in ladder.smallest and ladder.smallest != [[]]:
            yield "To select another epoch is not enough by itself: the ladder below tried it on a frozen net."


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
