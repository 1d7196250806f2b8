"""Published numbers are compared with ours as precisely as they were published.

A published 0.9677 stands for anything that rounds to it. So our 0.967742 agrees with it, even where our interval does
not hold 0.9677 itself.
"""

from deepcovid.statistics.comparison import FOLLOWING, AgainstPublished, Beside

FEWEST = 2  # decimals of a rate: 0.9 in a YAML file may have been 90 %


def decimals_of(row: Beside) -> int:
    """Return to how many decimals a number was published; whole numbers, which are exact, have none."""
    written = f"{row.published:.12f}".rstrip("0").partition(".")[2]
    return max(FEWEST, len(written)) if written else 0


def digits_of(row: Beside) -> int:
    """Return with how many decimals ours is shown beside it: none of a count, three of others, or as many as it has."""
    return 0 if row.counts_images else max(3, decimals_of(row))


def at_published_precision(found: AgainstPublished) -> AgainstPublished:
    """Return the comparison with `inside` true where the published number, before it was rounded, may lie inside.

    Args:
        found: What `beside_published` returned.
    """
    numbers = {name: _widened(row) for name, row in found.numbers.items()}
    matrices = {row.group for row in numbers.values() if row.metric == "confusion.tp"}
    counted = (
        row
        for row in numbers.values()
        if row.same_test_counts and (row.metric not in FOLLOWING or row.group not in matrices)
    )
    return found.model_copy(update={"numbers": numbers, "inside": sum(row.inside for row in counted)})


def _widened(row: Beside) -> Beside:
    over = row.over_heads
    if over:
        over = over.model_copy(update={"inside": over.inside or _within(row, over.min, over.max)})
    return row.model_copy(
        update={"inside": row.inside or _within(row, row.ours.low, row.ours.high), "over_heads": over}
    )


def _within(row: Beside, low: float, high: float) -> bool:
    places = decimals_of(row)
    slack = 0.5 * 10**-places if places else 0.0
    return low - slack - 1e-9 <= row.published <= high + slack + 1e-9
