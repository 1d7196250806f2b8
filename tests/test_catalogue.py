import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcovid import catalogue

# Everything that a CSV in UTF-8 can hold on one line: no surrogates, no control characters.
TEXT = st.one_of(
    st.sampled_from(["NA", "nan", "None", "null", "", "1.0", "007", "1e5", "True", 'a "b", c', "'", ";", " x ", "é漢"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
)
FREE = [name for name in catalogue.COLUMNS if name not in ("image_id", "member", "label", "augmentation_of")]


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "image_id": ["a", "b", "a flipped"],
            "archive": "images.zip",
            "member": ["1.png", "2.png", "3.png"],
            "label": ["covid", "non", "covid"],
            "augmentation_of": ["", "", "a"],
        }
    )


@st.composite
def free_tables(draw):
    names = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=5, unique=True))
    rows = [
        {name: draw(TEXT) for name in FREE}
        | {name: draw(TEXT.filter(bool)) for name in ("archive", "member")}
        | {"image_id": name, "label": draw(st.sampled_from(catalogue.LABELS))}
        | {"augmentation_of": draw(st.sampled_from(["", names[0]])) if name != names[0] else ""}
        for name in names
    ]
    return pd.DataFrame(rows, columns=list(catalogue.COLUMNS))


@given(table=free_tables())
def test_what_is_written_is_read_again_to_the_letter(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.csv"
    catalogue.write(path, table)
    assert catalogue.read(path).to_dict("list") == table.to_dict("list")


@given(table=free_tables(), data=st.data())
def test_rows_that_are_read_forward_are_those_of_the_whole(tmp_path_factory, table, data):
    path = tmp_path_factory.mktemp("catalogue") / "catalogue.csv"
    catalogue.write(path, table)
    whole, forward = table.to_dict("records"), catalogue.Forward(path)
    for start, stop in data.draw(st.lists(st.tuples(*[st.integers(0, len(table) + 1)] * 2).map(sorted), max_size=5)):
        assert forward(start, stop) == whole[start:stop]


def test_columns_come_in_order_with_blanks_where_nothing_is_known(table):
    checked = catalogue.checked(table[table.columns[::-1]].assign(colour="grey", age=["40", None, None]), "here")
    assert tuple(checked) == catalogue.COLUMNS
    assert checked["view"].tolist() == ["", "", ""]
    assert checked["age"].tolist() == ["40", "", ""]


def test_split_is_kept_where_it_is_there(table):
    assert tuple(catalogue.checked(table.assign(split="train"), "here")) == (*catalogue.COLUMNS, "split")


@pytest.mark.parametrize("column", ["image_id", "archive", "member", "label"])
def test_a_missing_column_is_named(table, refused, column):
    with refused("here: ", f"column '{column}' is missing"):
        catalogue.checked(table.drop(columns=column), "here")


@pytest.mark.parametrize("column", ["image_id", "member", "label"])
@pytest.mark.parametrize("blank", ["", None, float("nan")])
def test_a_blank_cell_is_named_by_row_and_column(table, refused, column, blank):
    table[column] = table[column].astype(object)
    table.loc[1, column] = blank
    with refused("here: ", f"row 1 has no {column}", "fill it in"):
        catalogue.checked(table, "here")


def test_a_repeated_name_is_refused(table, refused):
    table.loc[1, "image_id"] = "a"
    with refused("here: ", "'a' is named twice", "must be unique"):
        catalogue.checked(table, "here")


def test_an_unknown_label_is_refused_with_those_that_are_known(table, refused):
    table.loc[1, "label"] = "COVID-19"
    with refused("here: ", "image 'b' has label 'COVID-19'", "allowed are covid, non"):
        catalogue.checked(table, "here")


def test_a_copy_without_its_original_is_refused(table, refused):
    with refused("here: ", "'a flipped' is a copy of 'a', which is no original"):
        catalogue.checked(table[1:], "here")


def test_a_wrong_table_is_not_written(tmp_path, table, refused):
    path = tmp_path / "catalogue.csv"
    with refused(path):
        catalogue.write(path, table[1:])
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", "a\né\n".encode("latin-1"), b"a,b\n1,2\n1,2,3\n"])
def test_a_file_that_is_no_csv_is_refused(tmp_path, refused, content):
    path = tmp_path / "catalogue.csv"
    path.write_bytes(content)
    with refused(path, "not a readable CSV", "comma-separated UTF-8"):
        catalogue.read_text_table(path)


def test_groups_are_covid_whatever_the_finding_then_normal_then_other():
    table = pd.DataFrame(
        {
            "label": ["covid", "covid", "non", "non", "non"],
            "finding": ["Pneumonia", "No Finding", "No Finding", "Edema", ""],
        },
        index=[4, 3, 2, 1, 0],
    )
    group = catalogue.group_of(table)
    assert group.to_dict() == {4: "covid", 3: "covid", 2: "normal", 1: "other", 0: "other"}


def test_rows_longer_than_the_header_are_refused(tmp_path, refused):
    path = tmp_path / "catalogue.csv"
    path.write_text("a,b\n1,2,3\n4,5,6\n")
    with refused(path, "more values than the header"):
        catalogue.read_text_table(path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [(",train\n", "\n", "row 1 has"), ("train", "train\0", "NUL bytes"), ("train", "t" * 200000, "field larger")],
)
def test_what_pandas_passes_over_in_a_catalogue_is_refused(tmp_path, table, refused, old, new, why):
    path = tmp_path / "catalogue.csv"
    catalogue.write(path, table.assign(split="train"))
    path.write_text(path.read_text().replace(old, new, 1))
    with refused(f"{path}: damaged (", why, "dvc repro"):
        catalogue.read(path)


@pytest.mark.parametrize("character", ["\r", "\n", "\x00", "\t", "\x1f", "\x7f", "\x80", "\x9b", "\x9f"])
def test_a_control_character_in_a_value_is_refused(table, refused, character):
    table.loc[0, "source"] = f"two{character}lines"
    with refused("here: ", "source", "control characters"):
        catalogue.checked(table, "here")


def test_a_copy_of_a_copy_is_refused(table, refused):
    table.loc[2, "augmentation_of"] = "a flipped"
    with refused("here: ", "which is no original"):
        catalogue.checked(table, "here")


def test_an_image_of_an_unknown_patient_is_of_a_patient_of_its_own_with_its_copies(table):
    table = table.assign(patient_id="")
    assert catalogue.patients(table).tolist() == ["image a", "image b", "image a"]
    assert catalogue.patients(table.assign(patient_id=["p", "", "p"])).tolist() == ["p", "image b", "p"]
    # The name of an image is no patient's, not even where a patient is called the same.
    assert catalogue.patients(table.assign(patient_id=["", "a", ""])).nunique() == 2
