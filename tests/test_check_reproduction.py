from tools.check_reproduction import compare

TOLERANCES = {"auc": 0.01, "*auc*": 0.05, "confusion.*": 3}


def passes(key, old, new):
    (result,) = compare({"m.json": {key: {"old": old, "new": new}}}, TOLERANCES)
    return result.passes


def test_the_first_pattern_that_fits_decides():
    assert passes("auc", 0.9, 0.91)
    assert not passes("auc", 0.9, 0.911)
    assert passes("over_seeds.auc.mean", 0.9, 0.95)
    assert passes("confusion.tp", 10, 13)
    assert not passes("confusion.tp", 10, 14)


def test_a_metric_without_a_tolerance_must_be_equal():
    assert passes("n_test.covid", 100, 100)
    assert not passes("n_test.covid", 100, 101)


def test_a_metric_that_is_missing_or_new_fails():
    assert not passes("auc", 0.9, None)
    assert not passes("auc", None, 0.9)
