"""The authors' archive in miniature: same names, same tables, a few images."""

import zipfile

import pytest

from deepcovid import sources
from deepcovid.errors import UserError
from deepcovid.settings.datasets import CovidXray5kSource
from tests.radiographs import jpeg

UUID = "06d95ab6-c36e-4807-8879-1b742286b568"
FILES = [
    ("train", "covid", "a.jpeg"),
    ("train", "covid", f"covid_original_a.jpeg_{UUID}.jpeg"),
    ("train", "covid", "4-x-day1.jpg"),
    ("train", "non", "Lung Lesion-patient00028-study2-view1_frontal.jpg"),
    ("test", "covid", "b.png"),
    ("test", "non", "patient00003-study1-view1_frontal.jpg"),
]
METADATA = """patientid,finding,view,modality,filename,sex,age,license
7,COVID-19,AP Supine,X-ray,a.jpeg,F,60,CC BY
8,COVID-19,PA,X-ray,b.png,M,50,
8,COVID-19,L,X-ray,b.png,M,50,
"""
FINDINGS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
CHEXPERT = f"""Path,Sex,Age,Frontal/Lateral,AP/PA,{FINDINGS}
CheXpert-v1.0-small/train/patient00028/study2/view1_frontal.jpg,Male,41,Frontal,AP,,,1.0,,1.0,,,,,,,,,
CheXpert-v1.0-small/train/patient00003/study1/view1_frontal.jpg,Female,20,Frontal,PA,1.0,0.0,,,,,,,,,,,,
"""
SOURCE = CovidXray5kSource(kind="covid-xray-5k")


@pytest.fixture
def source(tmp_path):
    """A mirror and a reference folder, in miniature."""
    mirror, reference = tmp_path / "mirror", tmp_path / "reference"
    for folder in ("covid-xray-5k", "covid-chestxray-dataset", "CheXpert-v1.0-small"):
        (mirror / folder).mkdir(parents=True)
    (reference / "file-lists").mkdir(parents=True)
    lines = "".join(f"{split},{label},{file}\n" for split, label, file in FILES)
    (reference / "file-lists/covid-xray-5k.csv").write_text("split,label,file\n" + lines)
    entries = [
        ("covid-xray-5k/data_upload_v3.zip", False),
        ("covid-xray-5k/edition.csv", True),
        ("covid-chestxray-dataset/covid-chestxray-dataset-master.zip", False),
        ("CheXpert-v1.0-small/train.csv", False),
    ]
    listed = "".join(
        f"  - {{path: {path}, url: '', remedy: get it, optional: {str(optional).lower()}}}\n"
        for path, optional in entries
    )
    (reference / "sources.yaml").write_text(f"covid-xray-5k:\n{listed}")
    write_archive(mirror, {f"data_upload_v3/{'/'.join(names)}": jpeg(i) for i, names in enumerate(FILES)})
    write_metadata(mirror, METADATA)
    (mirror / "CheXpert-v1.0-small/train.csv").write_text(CHEXPERT)
    return mirror, reference


def write_archive(mirror, members):
    with zipfile.ZipFile(mirror / "covid-xray-5k/data_upload_v3.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_metadata(mirror, text):
    with zipfile.ZipFile(mirror / "covid-chestxray-dataset/covid-chestxray-dataset-master.zip", "w") as archive:
        archive.writestr("covid-chestxray-dataset-master/metadata.csv", text)


def prepare(source, folder):
    mirror, reference = source
    folder.mkdir()
    return sources.prepare(SOURCE, folder, reference, [mirror])


def test_findings_views_and_patients_come_from_the_two_collections(source, tmp_path):
    table, provenance = prepare(source, tmp_path / "raw")
    table = table.set_index("image_id")
    facts = table[["label", "finding", "view", "patient_id", "sex", "age", "published_split"]].T.to_dict("list")
    assert facts["train/covid/a.jpeg"] == ["covid", "COVID-19", "AP Supine", "cohen-7", "F", "60", "train"]
    assert facts["test/covid/b.png"] == ["covid", "COVID-19", "PA", "cohen-8", "M", "50", "test"]
    assert facts["train/covid/4-x-day1.jpg"] == ["covid", "COVID-19", "", "", "", "", "train"]
    # Published under one of its two positive labels, not under the first.
    lesion = "train/non/Lung Lesion-patient00028-study2-view1_frontal.jpg"
    assert facts[lesion] == ["non", "Lung Lesion", "AP", "chexpert-patient00028", "M", "41", "train"]
    normal = "test/non/patient00003-study1-view1_frontal.jpg"
    assert facts[normal] == ["non", "No Finding", "PA", "chexpert-patient00003", "F", "20", "test"]
    copy = table.loc[f"train/covid/covid_original_a.jpeg_{UUID}.jpeg"]
    assert copy["augmentation_of"] == "train/covid/a.jpeg"
    assert copy["view"] == "AP Supine"
    assert [record["origin"] for record in provenance["files"]] == ["mirror"] * 3


def test_sizes_of_the_originals_are_taken_where_the_edition_lists_them(source, tmp_path):
    (source[0] / "covid-xray-5k/edition.csv").write_text(
        "split,class,file,original_width,original_height,substitute\ntest,covid,b.png,2000,1800,0\n"
    )
    table, _ = prepare(source, tmp_path / "raw")
    assert table.set_index("image_id").loc["test/covid/b.png", ["width", "height"]].tolist() == ["2000", "1800"]


def test_an_edition_that_names_a_file_twice_is_refused(source, tmp_path, refused):
    path = source[0] / "covid-xray-5k/edition.csv"
    rows = ["test,covid,b.png,2000,1800", "train,covid,b.png,2000,1800"]
    path.write_text("\n".join(["split,class,file,original_width,original_height", *rows]))
    with refused("edition.csv: file 'covid/b.png' is named twice", "name each file once"):
        prepare(source, tmp_path / "raw")


def test_a_missing_and_a_renamed_member_are_named(source, tmp_path):
    names = [f"data_upload_v3/{'/'.join(names)}" for names in FILES]
    write_archive(source[0], {name.replace("b.png", "c.png"): jpeg(0) for name in names})
    with pytest.raises(
        UserError, match=r"lacks 1 published files, first 'test/covid/b.png' and has 1 .*'test/covid/c.png'"
    ):
        prepare(source, tmp_path / "raw")


def test_a_truncated_archive_is_named(source, tmp_path):
    path = source[0] / "covid-xray-5k/data_upload_v3.zip"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"data_upload_v3\.zip: truncated or not a zip"):
        prepare(source, tmp_path / "raw")


@pytest.mark.parametrize("column", ["view", "filename", "patientid"])
def test_metadata_without_a_needed_column_is_named(source, tmp_path, column):
    write_metadata(source[0], METADATA.replace(column, "other", 1))
    with pytest.raises(UserError, match=f"metadata.csv: column '{column}' is missing"):
        prepare(source, tmp_path / "raw")


def test_labels_without_a_needed_column_or_row_are_named(source, tmp_path):
    path = source[0] / "CheXpert-v1.0-small/train.csv"
    path.write_text(CHEXPERT.replace("AP/PA", "other"))
    with pytest.raises(UserError, match=r"train\.csv: column 'AP/PA' is missing"):
        prepare(source, tmp_path / "a")
    path.write_text(CHEXPERT.replace("patient00003", "patient00004"))
    with pytest.raises(UserError, match=r"no row for patient00003/study1/view1_frontal\.jpg"):
        prepare(source, tmp_path / "b")


def test_a_source_without_mirror_or_address_says_what_to_do(source, tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match=r"DEEPCOVID_MIRROR is not set .*get it"):
        sources.prepare(SOURCE, tmp_path / "raw", source[1], [])


def test_what_a_system_leaves_in_a_zip_is_passed_over_and_a_second_copy_is_not(source, tmp_path):
    members = {f"data_upload_v3/{'/'.join(names)}": jpeg(i) for i, names in enumerate(FILES)}
    write_archive(
        source[0], members | {"__MACOSX/data_upload_v3/test/covid/._b.png": b"", "data_upload_v3/.DS_Store": b""}
    )
    assert len(prepare(source, tmp_path / "a")[0]) == len(FILES)
    write_archive(source[0], members | {"old/test/covid/b.png": jpeg(9)})
    with pytest.raises(UserError, match="the same file in two folders"):
        prepare(source, tmp_path / "b")


def test_metadata_that_is_no_table_is_named(source, tmp_path):
    write_metadata(source[0], "")
    with pytest.raises(UserError, match=r"metadata\.csv: not a readable CSV"):
        prepare(source, tmp_path / "raw")
