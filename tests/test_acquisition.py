import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.audits.acquisition import VARIABLES, Trial, auc_within, confounding, measurements, years
from deepcovid.audits.enough import highest_first
from deepcovid.audits.headers import Header, header, headers
from deepcovid.drawing.steps import Step
from deepcovid.settings import AuditSettings, EvaluateSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Headline
from deepcovid.statistics.intervals import auc_interval
from tests.radiographs import dicom

AUDIT = AuditSettings(
    recipe="paper", near_duplicate_sensitivity=0.9, folds=4, seed=0, hidden_share=0.75, calibration_bins=10
)
BOOTSTRAP = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=0)
COLUMNS = [column for variable in VARIABLES.values() for column in variable.columns]


@pytest.fixture
def table():
    """Ninety originals, a third of them COVID-19, two images a patient."""
    table = pd.DataFrame({"image_id": [f"image {number:02}" for number in range(90)], "archive": "a.zip"})
    table["label"] = np.where(table.index < 30, "covid", "non")
    table["patient_id"] = [f"patient {number // 2}" for number in range(90)]
    return catalogue.checked(table.assign(member=table["image_id"]), "here")


@pytest.fixture
def measured(table):
    """Measurements that say nothing: the same of every image, but for an age drawn at random."""
    facts = {"view": "AP", "width": 320, "height": 390, "aspect_ratio": 320 / 390}
    facts |= {"format": "JPEG", "mode": "L", "bits": 8, "border_mean": 5.0, "border_deviation": 2.0}
    facts |= {"corner_brightest": 200.0, "corner_near_white": 0.0, "sex": "F"}
    age = np.random.default_rng(1).integers(20, 90, len(table))
    return pd.DataFrame(facts, index=table.index).assign(age=age.astype(float))[COLUMNS]


def judged(table, measured, audit=AUDIT):
    found = confounding(table, measured, audit, BOOTSTRAP)
    return found, found.variables


def numbers(estimate):
    return estimate.value, estimate.low, estimate.high


def told(found):
    """The titles and cells of the table, from top to bottom."""
    (block,) = found.blocks(Step("acquisition", "", {}, (), ()))
    return [(row[0], row[-1]) for row in block.table.rows]


def test_a_variable_that_gives_the_label_away_is_found_and_comes_first(table, measured):
    measured["height"] = np.where(table["label"] == "covid", 1000, 390)
    found, by_name = judged(table, measured)
    low = auc_interval(1, 15, 30)[0]  # fifteen patients and thirty
    assert told(found)[0] == (VARIABLES["size"].title, f"1.000 ({low:.3f} to 1.000)")
    assert numbers(by_name["size"].auc) == pytest.approx((1, low, 1), abs=1e-6)
    assert highest_first(found.ways())[0].title == VARIABLES["size"].title
    assert found.together.auc.value == pytest.approx(1, abs=0.01)
    assert found.images == Counts(covid=30, non=60)
    together = found.together.auc
    assert found.headline() == Headline(auc=together.value, auc_low=together.low, auc_high=together.high)


def test_a_text_variable_gives_the_label_away_whatever_its_values_are(table, measured):
    kinds = np.where(table["label"] == "covid", table.index % 2, 2 + table.index % 3)
    measured["view"] = np.array(["AP", "PA", "L", "Axial", "AP Supine"])[kinds]
    assert judged(table, measured)[1]["view"].auc.value == pytest.approx(1, abs=0.02)


def test_random_variables_have_intervals_that_hold_one_half_but_for_a_few(table):
    trial = Trial((table["label"] == "covid").to_numpy(), table["patient_id"], AUDIT, BOOTSTRAP)
    rng = np.random.default_rng(0)
    found = [trial.auc(pd.DataFrame({"age": rng.normal(size=len(table))})) for _ in range(40)]
    assert all(one.low < one.value < one.high for one in found)
    assert sum(one.low < 0.5 < one.high for one in found) >= 30
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.04)


def test_a_variable_of_a_single_value_has_an_auc_of_one_half(table, measured):
    for name, variable in judged(table, measured)[1].items():
        if name != "age":
            assert numbers(variable.auc) == (0.5, 0.5, 0.5)


def test_variables_are_told_by_falling_auc_but_kept_by_name_and_each_has_a_title(table, measured):
    measured["border_mean"] = np.where(table["label"] == "covid", 9.0, 5.0) + table.index % 7
    found, by_name = judged(table, measured)
    areas = [float(cell.split()[0]) for _, cell in told(found)]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[-1]
    assert list(by_name) == list(VARIABLES)
    assert all(variable.title for variable in by_name.values())


def test_a_variable_is_judged_where_it_is_known_and_left_out_of_all_together_where_not(table, measured):
    measured.loc[[0, 1, 40], "age"] = np.nan
    found, by_name = judged(table, measured)
    assert by_name["age"].known == Counts(covid=28, non=59)
    assert by_name["age"].auc
    assert {way.title: way.known for way in found.ways()}["age"] == Counts(covid=28, non=59)
    assert found.together.variables == [name for name in VARIABLES if name != "age"]


def test_that_a_value_is_missing_gives_nothing_away(table, measured):
    measured["sex"] = measured["sex"].where((table["label"] == "non") | (table.index < 20))
    found, by_name = judged(table, measured)
    assert by_name["sex"].auc.value == 0.5
    assert "sex" not in found.together.variables


def test_a_variable_known_for_fewer_patients_than_folds_has_a_reason_instead_of_an_auc(table, measured):
    measured["view"] = measured["view"].where(table.index >= 24)  # of three COVID-19 patients, two images each
    found, by_name = judged(table, measured)
    reason = "known for 3 covid and 30 non patients; needs 4 of each"
    assert told(found)[-1] == (VARIABLES["view"].title, reason)
    assert by_name["view"].skipped == reason
    assert by_name["view"].auc is None
    assert VARIABLES["view"].title not in {way.title for way in found.ways()}


def test_with_too_few_patients_at_all_everything_has_a_reason(table, measured):
    few = table.index >= 24
    found, by_name = judged(table[few], measured[few])
    assert all(variable.skipped for variable in by_name.values())
    assert found.together.skipped
    assert [*found.ways()] == []
    assert found.headline() == Headline()


def test_patients_that_are_not_known_stand_for_themselves(table, measured):
    blank, own = (judged(table.assign(patient_id=who), measured) for who in ("", table["image_id"]))
    assert blank == own
    assert blank[1]["age"].auc


@pytest.mark.parametrize("label", catalogue.LABELS)
def test_one_class_only_is_an_error(table, measured, refused, label):
    own = table["label"] == label
    with refused("acquisition: the images are of one class only"):
        judged(table[own], measured[own])


def test_the_order_of_rows_changes_nothing(table, measured):
    shuffled = table.sample(frac=1, random_state=3)
    assert judged(shuffled, measured.loc[shuffled.index]) == judged(table, measured)


@st.composite
def patients_with_labels(draw):
    """Images of patients, some with many, some with both labels; at least four patients a label."""
    numbers = draw(st.lists(st.integers(0, 30), min_size=20, max_size=60))
    covid = np.array(draw(st.lists(st.booleans(), min_size=len(numbers), max_size=len(numbers))))
    numbers, covid = np.r_[numbers, 100:108], np.r_[covid, [True] * 4, [False] * 4]
    return covid, pd.Series([f"patient {number}" for number in numbers])


@given(case=patients_with_labels())
def test_no_patient_is_on_both_sides_of_a_fold(case):
    covid, patient = case
    trial = Trial(covid, patient, AUDIT, BOOTSTRAP)
    assert pd.Series(trial.fold).groupby(patient).nunique().max() == 1
    assert set(trial.fold) <= set(range(AUDIT.folds))
    for number in set(trial.fold):
        assert set(covid[trial.fold != number]) == {True, False}


def test_a_mark_of_each_patient_does_not_help_with_other_patients(table):
    patient = pd.Series([f"patient {number // 9}" for number in range(90)])
    rng = np.random.default_rng(0)
    drawn = rng.permutation(10) < 5
    covid = np.repeat(drawn, 9)
    marks = pd.DataFrame({"age": np.repeat(rng.normal(size=10), 9)})
    trial = Trial(covid, patient, AUDIT, BOOTSTRAP)
    by_image = Trial(covid, table["image_id"], AUDIT, BOOTSTRAP)
    assert by_image.auc(marks).value > 0.99
    assert trial.auc(marks).value < 0.9


@given(data=st.data())
def test_the_auc_is_that_of_sklearn_over_pairs_within_a_fold(data):
    number = data.draw(st.integers(8, 30))
    fold = np.array(data.draw(st.lists(st.integers(0, 2), min_size=number, max_size=number)))
    covid = np.array(data.draw(st.lists(st.booleans(), min_size=number, max_size=number)))
    fold[:2], covid[:2] = 0, (True, False)
    score = np.random.default_rng(number).integers(0, 5, number).astype(float)
    right = pairs = 0.0
    for one in np.unique(fold):
        own, both = fold == one, covid[fold == one].sum() * (~covid[fold == one]).sum()
        if both:
            right, pairs = right + both * roc_auc_score(covid[own], score[own]), pairs + both
    # Another model's scores may lie anywhere else.
    for moved in (score, score + 100 * fold):
        assert auc_within(moved, fold, Bootstrap(covid, np.ones((number, 1)))) == pytest.approx([right / pairs])


def test_bootstrap_samples_without_a_pair_in_any_fold_are_left_out():
    covid, fold = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    weights = np.array([[2, 1], [0, 1], [0, 1], [2, 1]], dtype=float)
    assert auc_within(np.arange(4.0), fold, Bootstrap(covid, weights)).tolist() == [0.0]


@pytest.mark.parametrize(
    ("age", "number"),
    [("65", 65), (" 71 ", 71), ("065Y", 65), ("90+", 90), ("45.5", 45.5), ("0", 0)],
)
def test_an_age_is_a_number_of_years(age, number):
    assert years(age) == number


@pytest.mark.parametrize("age", ["", "unknown", "006M", "40-50", "-3", "nan", "65 years old"])
def test_an_age_that_is_no_number_is_not_known(age):
    assert np.isnan(years(age))


def file_headers(number, **other):
    facts = {"format": "JPEG", "mode": "L", "bits": 8, "width": 400, "height": 200} | other
    return pd.DataFrame([facts] * number)


def test_the_size_is_the_originals_and_where_the_catalogue_lacks_it_that_of_a_file_of_a_whole_edition(table):
    table = table[:4].copy()
    table["archive"] = ["reduced.zip", "reduced.zip", "whole.zip", "whole.zip"]
    table["width"], table["height"] = ["2000", "", "400", ""], ["1000", "", "200", ""]
    measured = measurements(table, file_headers(4), [np.zeros((4, 224, 224, 1), np.uint8)])
    np.testing.assert_equal(measured["width"].tolist(), [2000, np.nan, 400, 400])
    assert measured["aspect_ratio"].tolist() == [2, 2, 2, 2]


def test_a_patient_who_lies_is_seen_from_the_same_side(table):
    table = table[:3].assign(view=["AP", "AP Supine", "PA"])
    measured = measurements(table, file_headers(3), [np.zeros((3, 224, 224, 1), np.uint8)])
    assert measured["view"].tolist() == ["AP", "AP", "PA"]


def test_blanks_are_not_known(table):
    table = table[:2].assign(view=["AP", ""], sex=["", "F"], age=["", "30"])
    measured = measurements(table, file_headers(2), [np.zeros((2, 224, 224, 1), np.uint8)])
    assert measured[["view", "sex", "age"]].isna().to_numpy().tolist() == [[False, True, True], [True, False, False]]
    assert list(measured[COLUMNS].columns) == COLUMNS


@pytest.mark.parametrize(("channels", "side"), [(1, 224), (3, 224), (1, 96)])
def test_brightness_is_that_of_the_border_and_of_the_corners(table, channels, side):
    images = np.full((2, side, side, channels), 50, np.uint8)
    images[0, 4:-4, 4:-4] = 100
    images[0, :4, :] = 70  # half of the border's rows, nearly
    images[1, 10:20, 10:20] = 255  # a marker of 100 pixels
    images[1, side // 2 - 10 : side // 2 + 10, side // 2 - 10 : side // 2 + 10] = 255  # in the middle, where it is none
    measured = measurements(table[:2], file_headers(2), [images[:1], images[1:]])
    border = np.r_[np.full(4 * side, 70), np.full(4 * side + 2 * 4 * (side - 8), 50)]
    assert measured["border_mean"].tolist() == pytest.approx([border.mean(), 50])
    assert measured["border_deviation"].tolist() == pytest.approx([border.std(), 0])
    pixels = side * side // 4
    assert measured["corner_near_white"].tolist() == pytest.approx([0, 100 / pixels])
    brightest = pixels // 100
    assert measured["corner_brightest"].tolist() == pytest.approx(
        [100, (min(100, brightest) * 255 + max(brightest - 100, 0) * 50) / brightest]
    )


def encoded(pixels, file_format):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format)
    return stream.getvalue()


NOISE = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
FILES = {
    "grey JPEG": (encoded(NOISE[..., 0], "JPEG"), Header("JPEG", "L", 8, 40, 60)),
    "colour PNG": (encoded(NOISE, "PNG"), Header("PNG", "RGB", 8, 40, 60)),
    "deep PNG": (encoded(np.zeros((60, 40), np.uint16), "PNG"), Header("PNG", "I;16", 16, 40, 60)),
    "black and white PNG": (encoded(np.zeros((60, 40), bool), "PNG"), Header("PNG", "1", 1, 40, 60)),
    "DICOM": (dicom(np.zeros((300, 200), np.uint16), "MONOCHROME1", 12), Header("DICOM", "MONOCHROME1", 12, 200, 300)),
}


@pytest.mark.parametrize(("content", "expected"), FILES.values(), ids=FILES.keys())
def test_a_header_says_format_mode_depth_and_size(content, expected):
    assert header(content) == expected


@pytest.mark.parametrize("name", ["grey JPEG", "colour PNG"])
def test_a_header_is_read_without_the_pixels(name):
    content, expected = FILES[name]
    assert header(content[: int(len(content) * 0.9)]) == expected


def test_headers_come_in_the_catalogues_order_whatever_the_archive(zipped):
    path = zipped(*((name, content) for name, (content, _) in FILES.items()))
    names = [*reversed(FILES), "DICOM"]
    table = pd.DataFrame({"archive": path.name, "member": names}, index=range(10, 10 + len(names)))
    found = headers(table, path.parent)
    assert found.index.tolist() == table.index.tolist()
    assert [Header(*row) for row in found.itertuples(index=False)] == [FILES[name][1] for name in names]


@pytest.mark.parametrize("content", [b"", b"no image", bytes(128) + b"DICM"], ids=["empty", "text", "empty DICOM"])
def test_a_file_without_a_header_is_an_error_that_names_it(zipped, refused, content):
    path = zipped(("images/x.png", content))
    with refused("images/x.png", "header"):
        headers(pd.DataFrame({"archive": [path.name], "member": ["images/x.png"]}), path.parent)
