import pytest

from deepcovid.statistics.comparison import AgainstPublished, Beside, OverHeads
from deepcovid.statistics.estimate import Estimate
from deepcovid.statistics.precision import at_published_precision, decimals_of, digits_of


def row(published, ours=3000 / 3100, metric="sensitivity", heads=None):
    return Beside(
        group="g",
        source="s",
        name="n",
        metric=metric,
        published_for="resnet18",
        model="resnet18",
        recipe="paper",
        published=published,
        ours=Estimate(value=ours, low=ours, high=ours),
        over_heads=heads,
        difference=ours - published,
        inside=False,
        same_test_counts=True,
        note="",
    )


def compared(*rows):
    numbers = {f"{place}": one for place, one in enumerate(rows)}
    found = AgainstPublished(compared=len(rows), inside=0, of_other_test_images=0, not_run=0, numbers=numbers)
    return at_published_precision(found)


@pytest.mark.parametrize(
    ("published", "decimals", "inside"),
    [(0.9677, 4, True), (0.968, 3, True), (0.97, 2, True), (0.9678, 4, False), (0.9, 2, False), (1, 0, False)],
)
def test_a_number_is_compared_at_the_precision_at_which_it_was_published(published, decimals, inside):
    heads = OverHeads(heads=2, min=3000 / 3100, max=3000 / 3100, inside=False)
    found = compared(row(published, heads=heads))
    (one,) = found.numbers.values()
    assert decimals_of(one) == decimals
    assert digits_of(one) == max(3, decimals)
    assert (one.inside, one.over_heads.inside, found.inside) == (inside, inside, int(inside))


def test_counts_are_exact():
    assert not compared(row(100, ours=100.4, metric="confusion.fp")).inside
    assert digits_of(row(100, ours=99, metric="confusion.fp")) == 0


def test_what_follows_from_a_confusion_matrix_is_mended_and_not_counted():
    found = compared(row(0, ours=1, metric="confusion.tp"), row(0.9677, metric="accuracy"))
    assert [one.inside for one in found.numbers.values()] == [False, True]
    assert found.inside == 0
