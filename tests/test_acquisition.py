import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.audits.acquisition import PROPERTIES, VARIABLES, Property, confounding, measurements, years
from deepcovid.audits.enough import highest_first
from deepcovid.audits.headers import Header, header, headers
from deepcovid.drawing.steps import Step
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.statistics.counts import Counts
from deepcovid.statistics.estimate import Headline
from deepcovid.statistics.intervals import auc_interval
from tests.radiographs import dicom

BOOTSTRAP = EvaluateSettings(bootstrap_samples=200, bootstrap_seed=0)
COLUMNS = [column for variable in (VARIABLES | PROPERTIES).values() for column in variable.columns]


@pytest.fixture
def table():
    """Originals of COVID-19, 60, and 120 others, two images a patient, half of the patients in training."""
    table = pd.DataFrame({"image_id": [f"image {number:03}" for number in range(180)], "archive": "a.zip"})
    table["label"] = np.where(table.index < 60, "covid", "non")
    table["patient_id"] = [f"patient {number // 2}" for number in range(180)]
    table["split"] = np.where(table.index // 2 % 2, "train", "test")
    return catalogue.checked(table.assign(member=table["image_id"]), "here").assign(split=table["split"])


@pytest.fixture
def measured(table):
    """Measurements that say nothing: the same of every image, but for an age drawn at random."""
    facts = {"view": "AP", "short_side": 320.0, "aspect_ratio": 320 / 390, "ending": "jpg"}
    facts |= {"format": "JPEG", "mode": "L", "bits": 8, "border_mean": 5.0, "border_deviation": 2.0}
    facts |= {"corner_brightest": 200.0, "corner_near_white": 0.0, "sex": "F"}
    age = np.random.default_rng(1).integers(20, 90, len(table))
    return pd.DataFrame(facts, index=table.index).assign(age=age.astype(float))[COLUMNS]


def judged(table, measured):
    found, _ = confounding(table, measured, BOOTSTRAP)
    return found, found.variables


def numbers(estimate):
    return estimate.value, estimate.low, estimate.high


def told(found):
    """The titles and cells of the table of the variables, from top to bottom."""
    block, _ = found.blocks(Step("baselines", "", {}, (), ()))
    return [(row[0], row[-1]) for row in block.table.rows]


def test_a_variable_that_gives_the_label_away_is_found_and_comes_first(table, measured):
    measured["border_mean"] = np.where(table["label"] == "covid", 9, 5)
    found, by_name = judged(table, measured)
    low = auc_interval(1, 15, 30)[0]  # fifteen patients and thirty in the test
    assert told(found)[0] == (VARIABLES["border"].title, f"1.000 ({low:.3f} to 1.000)")
    assert numbers(by_name["border"].auc) == pytest.approx((1, low, 1), abs=1e-6)
    assert highest_first(found.ways())[0].title == VARIABLES["border"].title
    assert found.together.auc.value == pytest.approx(1, abs=0.01)
    assert found.images == Counts(covid=30, non=60)
    together = found.together.auc
    assert found.headline() == Headline(auc=together.value, auc_low=together.low, auc_high=together.high)


def test_a_text_variable_gives_the_label_away_whatever_its_values_are(table, measured):
    kinds = np.where(table["label"] == "covid", table.index // 4 % 2, 2 + table.index // 4 % 3)
    measured["view"] = np.array(["AP", "PA", "L", "Axial", "AP Supine"])[kinds]
    assert judged(table, measured)[1]["view"].auc.value == pytest.approx(1, abs=0.02)


def test_random_variables_have_intervals_that_hold_one_half_but_for_a_few(table, measured):
    rng, found = np.random.default_rng(0), []
    unknown = measured.assign(**dict.fromkeys([column for column in COLUMNS if column != "age"], None))
    for _ in range(40):
        found.append(judged(table, unknown.assign(age=rng.normal(size=len(table))))[1]["age"].auc)
    assert all(one.low < one.value < one.high for one in found)
    assert sum(one.low < 0.5 < one.high for one in found) >= 34
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.04)


def test_the_score_is_that_of_trees_fitted_on_the_training_images(table, measured):
    found, scores = confounding(table, measured, BOOTSTRAP)
    test, covid = (table["split"] == "test").to_numpy(), (table["label"] == "covid").to_numpy()
    trees = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=4, min_samples_leaf=5, early_stopping=False)
    trees.fit(measured.loc[~test, ["age"]].to_numpy(), covid[~test])
    expected = trees.decision_function(measured.loc[test, ["age"]].to_numpy())
    assert scores["age"] == pytest.approx(expected)
    assert found.variables["age"].auc.value == pytest.approx(roc_auc_score(covid[test], expected), abs=1e-6)


def test_a_text_that_training_has_not_is_no_error_and_no_signal(table, measured):
    measured.loc[table["split"] == "test", "view"] = "L"
    assert judged(table, measured)[1]["view"].auc.value == 0.5


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
    measured.loc[[0, 1, 80, 82], "age"] = np.nan  # the third is of the test, the last of training
    found, scores = confounding(table, measured, BOOTSTRAP)
    assert found.variables["age"].known == Counts(covid=28, non=59)
    assert found.variables["age"].auc
    assert {way.title: way.known for way in found.ways()}["age"] == Counts(covid=28, non=59)
    assert found.together.variables == [name for name in VARIABLES if name != "age"]
    assert "age" not in scores
    assert all(len(score) == 90 for score in scores.values())


def test_that_a_value_is_missing_gives_nothing_away(table, measured):
    measured["sex"] = measured["sex"].where((table["label"] == "non") | (table.index < 44))
    found, by_name = judged(table, measured)
    assert by_name["sex"].auc.value == 0.5
    assert "sex" not in found.together.variables


def test_a_variable_known_for_too_few_patients_has_a_reason_instead_of_an_auc(table, measured):
    measured["view"] = measured["view"].where(table.index >= 40)  # of ten COVID-19 patients
    found, by_name = judged(table, measured)
    reason = "known for 5 covid training patients, 5 covid test patients; needs 10"
    assert told(found)[-1] == (VARIABLES["view"].title, reason)
    assert by_name["view"].skipped == reason
    assert by_name["view"].auc is None
    assert VARIABLES["view"].title not in {way.title for way in found.ways()}


def test_with_too_few_patients_at_all_everything_has_a_reason(table, measured):
    few = table.index >= 40
    found, by_name = judged(table[few], measured[few])
    assert all(variable.skipped for variable in by_name.values())
    assert found.together.skipped
    assert [*found.ways()] == []
    assert found.headline() == Headline()


def test_where_nothing_is_known_of_every_image_nothing_is_tried_together(table, measured):
    measured.loc[0, list(measured)] = np.nan
    found, scores = confounding(table, measured, BOOTSTRAP)
    assert found.together.skipped == "no variable is known for every image"
    assert scores == {}


def test_patients_that_are_not_known_stand_for_themselves(table, measured):
    blank, own = (judged(table.assign(patient_id=who), measured) for who in ("", table["image_id"]))
    assert blank == own
    assert blank[1]["age"].auc


@pytest.mark.parametrize(("side", "name"), [("train", "training"), ("test", "test")])
@pytest.mark.parametrize("label", catalogue.LABELS)
def test_one_class_only_is_an_error(table, measured, refused, label, side, name):
    own = (table["label"] == label) | (table["split"] != side)
    with refused(f"acquisition: the {name} images are of one class only"):
        judged(table[own], measured[own])


def test_of_a_property_the_value_is_told_that_differs_most_and_counted_exactly(table, measured):
    covid = table["label"] == "covid"
    measured["short_side"] = np.where(covid, 400.0 + table.index % 3, np.where(table.index < 170, 320.0, 400.0))
    measured["ending"] = np.where(covid & (table.index % 2 == 0), "png", "jpg")
    measured["format"] = np.nan
    found, _ = judged(table, measured)
    size = found.properties["size"]
    assert (size.value, size.having, size.known) == ("320", Counts(covid=0, non=110), Counts(covid=60, non=120))
    assert size.auc == pytest.approx(roc_auc_score(~covid, measured["short_side"] == 320), abs=1e-6)
    assert found.properties["name"].having in (Counts(covid=30, non=0), Counts(covid=30, non=120))
    assert found.properties["file_format"] == Property(
        title=PROPERTIES["file_format"].title, known=Counts(covid=0, non=0)
    )
    (said,) = found.sentences()
    assert "The short side of the original in pixels is 320 for 0 of 60 COVID images and 110 of 120 others" in said
    _, block = found.blocks(Step("baselines", "", {}, (), ()))
    assert block.table.rows[0] == (size.title, "320", "0 of 60", "110 of 120", "0.958")
    assert block.table.rows[2][1] == "not known"


def test_properties_that_say_nothing_are_not_told_of(table, measured):
    assert [*judged(table, measured)[0].sentences()] == []


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
    np.testing.assert_equal(measured["short_side"].tolist(), [1000, np.nan, 200, 200])
    assert measured["format"].isna().tolist() == [True, True, False, False]  # saved anew
    assert measured["aspect_ratio"].tolist() == [2, 2, 2, 2]


def test_the_ending_is_that_of_the_published_name_or_else_of_the_member(table):
    table = table[:3].assign(source_image=["a.b.JPEG", "", ""], member=["a.png", "x/b.Png", "without"])
    measured = measurements(table, file_headers(3), [np.zeros((3, 224, 224, 1), np.uint8)])
    assert measured["ending"].tolist()[:2] == ["jpeg", "png"]
    assert measured["ending"].isna().tolist() == [False, False, True]


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
