"""Why the failed reproduction fails, as far as the log of its training and the ladder show it."""

from collections.abc import Iterator

from deepcovid.heads.schedules import factor
from deepcovid.ladder.measuring import NetLadder
from deepcovid.report.contents import ShownRun
from deepcovid.report.sentences import repairs
from deepcovid.settings.recipes import Recipe

DEAD = 1e-3  # of the learning rate at the start
SAME = 1e-5  # accuracies in a log have six digits
MOST_PROBABLE = 0.5  # a class is the more probable one from this score on
GUESSING = 0.5  # an AUC
NEAR = 2.0  # mean scores within this factor of the prior are close to it


def cause(run: ShownRun, recipe: Recipe, ladder: NetLadder, share: float) -> Iterator[str]:
    """Yield why the heads of a run fail; nothing where none calls every image alike.

    Each sentence is there only where the log shows it. That of the learning rate also needs the ladder: a smallest
    repair must change the schedule.

    Args:
        run: The run.
        recipe: Its recipe.
        ladder: The ladder of the same net.
        share: Share of COVID-19 among the images that the heads are trained on.
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
            f"The learning rate dies early: from epoch {dead} on, a thousandth of it is left. A constant one is a "
            "repair, or a part of one, as the ladder shows."
        )
        told = zip(repairs(ladder), ladder.smallest, strict=True)
        others = [words for words, switches in told if "schedule" not in switches]
        if others:
            yield f"Another repair leaves it as it is: {'; or '.join(others)}."
    if recipe.selection == "best-accuracy" and recipe.selection_on == "test":
        kept = log.loc[heads.idxmax(), "epoch"]
        if kept.nunique() == 1:
            epoch = "the first epoch" if kept.iloc[0] == 1 else f"epoch {kept.iloc[0]}"
            yield (
                f"Selection by accuracy keeps {epoch}, because calling every image non-COVID is already right "
                f"{_percent(majority)} of the time. No later epoch of the {heads.ngroups} heads is right more often."
            )
            first, last = (
                log.loc[rows, "test_auc"].mean() for rows in (heads.idxmax(), log["epoch"].eq(log["epoch"].max()))
            )
            yield f"The mean AUC of the heads is {first:.3f} then, and {last:.3f} after the last epoch."
            if recipe.cut_off != MOST_PROBABLE:
                yield (
                    f"For that accuracy an image counts as COVID from a score of {MOST_PROBABLE:g} on; in the end it "
                    f"is called COVID from {recipe.cut_off:g} on."
                )
        if ladder.smallest and ["selection"] not in ladder.smallest and ladder.smallest != [[]]:
            yield "To select another epoch is not enough by itself: the ladder below tried it on a frozen net."
    yield from _upside_down(run, share)


def _upside_down(run: ShownRun, share: float) -> Iterator[str]:
    """Yield why every head ranks COVID-19 below the rest, where the scores still are about the prior.

    A head that has not learned what COVID-19 looks like can only learn that it is rare. The gradient of that is the
    same for every image but for the strength of its features: the stronger they are, the lower the score falls.
    """
    over, means = run.result.over_seeds.auc, run.heads.mean()
    if over.max >= GUESSING or means.max() > NEAR * share or means.min() < share / NEAR:
        return
    yield (
        f"All {run.result.over_seeds.heads} heads rank COVID-19 below the rest: the AUC is {over.min:.3f} to "
        f"{over.max:.3f}. Their mean score is {means.min():.3f} to {means.max():.3f}, close to the share of COVID-19 "
        f"in training, {share:.3f}."
    )
    yield (
        "A head that has learned only that it is rare does so. To learn it lowers the score of an image the more, the "
        "stronger its features are, whatever it shows."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
