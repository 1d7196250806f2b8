"""A user's own images, as a folder and as a zip."""

import json
import os
import zipfile
from pathlib import Path
from unicodedata import normalize

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcovid import sources
from deepcovid.archives import Archive
from deepcovid.nets.zoo import NETS
from deepcovid.settings.datasets import FolderSource
from stages.augment import augment
from stages.download import download
from stages.resolve import check_own_images, resolve
from stages.split import split
from tests.checkouts import settings_of
from tests.radiographs import decode, dicom, jpeg, noise

HEADER = {"ViewPosition": "AP", "PatientID": "X1", "PatientSex": "M", "PatientAge": "050Y"}
FILES = {
    "sick/1.jpg": jpeg(1),
    "sick/2.dcm": dicom(noise(2, dtype=np.uint16, high=4096), "MONOCHROME1", 12, **HEADER),
    "well/3.dcm": dicom(noise(3), ViewPosition="LL"),
    "well/4.jpg": jpeg(4),
}
TABLE = """file,label,finding,view,patient
sick/1.jpg,covid,,PA,a
sick/2.dcm,covid,"COVID-19, ARDS",,b
well/3.dcm,non,No Finding,,
well/4.jpg,non,,,
"""
PLAIN = "file,label\n" + "".join(f"{name},{'covid' if 'sick' in name else 'non'}\n" for name in FILES)


@pytest.fixture
def images(tmp_path):
    """A folder of four images, two of them DICOM."""
    for name, content in FILES.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    return tmp_path / "images"


def zipped(path, prefix="", names=tuple(FILES), more=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(prefix + name, FILES[name])
        for name in more:
            archive.writestr(name, b"")
    return path


def prepare(tmp_path, images, table=TABLE, raw="raw"):
    """Prepare `images` with the table, a text or a path."""
    if isinstance(table, str):
        (tmp_path / "table.csv").write_text(table)
        table = tmp_path / "table.csv"
    (tmp_path / raw).mkdir()
    source = FolderSource(kind="folder", images=str(images), table=str(table))
    return sources.prepare(source, tmp_path / raw, tmp_path / "no reference", [])


def test_rows_are_the_tables_and_a_dicom_header_fills_its_blanks(tmp_path, images):
    table, _ = prepare(tmp_path, images)
    facts = ["label", "finding", "view", "patient_id", "sex", "age", "modality"]
    assert table.set_index("image_id")[facts].T.to_dict("list") == {
        "sick/1.jpg": ["covid", "COVID-19", "PA", "folder-a", "", "", "X-ray"],
        "sick/2.dcm": ["covid", "COVID-19, ARDS", "AP", "folder-b", "M", "50", "X-ray"],
        "well/3.dcm": ["non", "No Finding", "L", "", "", "", "X-ray"],
        "well/4.jpg": ["non", "", "", "", "", "", "X-ray"],
    }


def test_two_columns_are_enough(tmp_path, images):
    table = prepare(tmp_path, images, PLAIN)[0].set_index("image_id")
    assert table.loc["sick/2.dcm", ["view", "patient_id"]].tolist() == ["AP", "folder-X1"]
    assert table.loc["sick/1.jpg", ["finding", "view", "patient_id"]].tolist() == ["COVID-19", "", ""]


def test_the_archive_holds_the_named_files_whole(tmp_path, images):
    table, provenance = prepare(tmp_path, images)
    with Archive(tmp_path / "raw/images.zip") as archive:
        for row in table.itertuples():
            assert archive.read(row.member) == FILES[row.image_id]
            assert archive.digest(row.member) == row.sha256
            decode(archive.read(row.member))
    assert [record["name"] for record in provenance["files"]] == ["images", "table.csv"]
    assert str(tmp_path) not in json.dumps(provenance)  # it goes into git


@hypothesis.settings(max_examples=10)
@given(order=st.permutations(sorted(FILES)), prefix=st.sampled_from(["", "export/"]))
def test_a_zip_in_any_order_gives_the_bytes_and_rows_that_a_folder_gives(tmp_path_factory, order, prefix):
    tmp_path = tmp_path_factory.mktemp("case")
    for name, content in FILES.items():
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    path = zipped(tmp_path / "a.zip", prefix, order, more=["__MACOSX/._x"])
    from_folder, _ = prepare(tmp_path, tmp_path / "images", raw="raw1")
    from_zip, _ = prepare(tmp_path, path, raw="raw2")
    assert from_folder.equals(from_zip)
    assert (tmp_path / "raw1/images.zip").read_bytes() == (tmp_path / "raw2/images.zip").read_bytes()


def test_a_zips_top_folder_may_be_named_too(tmp_path):
    table = TABLE.replace("sick/", "export/sick/").replace("well/", "export/well/")
    rows, _ = prepare(tmp_path, zipped(tmp_path / "a.zip", "export/"), table)
    assert rows["member"].tolist() == [f"export/{name}" for name in FILES]


def test_files_that_the_table_does_not_name_are_left_out_and_named(tmp_path, images, capsys):
    (images / "table.csv").write_text("".join(TABLE.splitlines(keepends=True)[:4]))
    (images / ".DS_Store").write_bytes(b"")
    table, provenance = prepare(tmp_path, images, images / "table.csv")
    assert len(table) == 3
    record = provenance["files"][0]
    assert (record["left_out"], record["left_out_files"]) == (1, ["well/4.jpg"])
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "warning: " in line]
    assert "1 of its files are left out" in warning
    assert "well/4.jpg" in warning


def test_columns_that_nothing_reads_are_named(tmp_path, images):
    table = TABLE.replace("\n", ",7\n").replace("patient,7\n", "patient,ward\n")
    assert prepare(tmp_path, images, table)[1]["files"][1]["ignored_columns"] == ["ward"]
    assert prepare(tmp_path, images, TABLE, raw="plain")[1]["files"][1]["ignored_columns"] == []


@pytest.mark.parametrize("header", ["file, label , patient", "file,label,patient"])
def test_blanks_around_labels_and_patients_are_taken_off(tmp_path, images, header):
    table = f"{header}\nsick/1.jpg, covid,b \nsick/2.dcm,covid,b\nwell/3.dcm,non ,  \nwell/4.jpg,non,c\n"
    rows = prepare(tmp_path, images, table)[0].set_index("image_id")
    assert rows["label"].tolist() == ["covid", "covid", "non", "non"]
    assert rows["patient_id"].tolist() == ["folder-b", "folder-b", "", "folder-c"]


def test_columns_that_nothing_reads_are_warned_of(tmp_path, images, capsys):
    prepare(tmp_path, images, TABLE.replace("patient\n", "patient_id\n"))
    said = capsys.readouterr().err
    assert "nothing reads its columns patient_id; what is read is file, label, " in said
    assert "; did you mean patient by patient_id?\n" in said


def test_a_name_that_is_no_utf_8_is_recorded_by_its_bytes(tmp_path, images):
    (images / os.fsdecode(b"\xfc.jpg")).write_bytes(b"")
    provenance = prepare(tmp_path, images)[1]
    assert provenance["files"][0]["left_out_files"] == ["\\xfc.jpg"]
    json.dumps(provenance, ensure_ascii=False).encode()


def test_control_characters_of_a_dicom_header_are_left_out(tmp_path, images):
    content = dicom(noise(), PatientID="aXXXb").replace(b"aXXXb", b"a\x01\n\x7fb")
    (images / "sick/1.jpg").write_bytes(content)
    assert prepare(tmp_path, images, PLAIN)[0]["patient_id"][0] == "folder-ab"


def test_a_file_that_cannot_be_read_whole_is_named(tmp_path, images, refused):
    path = images / "sick/1.jpg"
    path.unlink()
    path.symlink_to(path)
    with refused(tmp_path / "table.csv", "row 1, 'sick/1.jpg', is a broken link, or no file; correct"):
        prepare(tmp_path, images, raw="a")
    path.unlink()
    os.mkfifo(path)
    with refused("row 1, 'sick/1.jpg', is a broken link, or no file"):
        prepare(tmp_path, images, raw="b")
    path.unlink()
    with path.open("wb") as stream:
        stream.truncate(2**29 + 1)
    with refused("row 1, 'sick/1.jpg', has 536870913 bytes, more than any image"):
        prepare(tmp_path, images, raw="c")


def test_links_out_of_the_folder_are_refused_and_listed(tmp_path, images, refused):
    outside = tmp_path / "outside"
    (images / "sick").rename(outside)
    (images / "sick").symlink_to(outside)
    (images / "well/3.dcm").rename(outside / "3.dcm")
    (images / "well/3.dcm").symlink_to("../../outside/3.dcm")
    (images / "well/4.jpg").unlink()
    (images / "well/4.jpg").symlink_to("/nowhere/4.jpg")
    (images / "unnamed.jpg").symlink_to("/etc/hostname")  # nobody reads it
    with refused(f"4 of 4 rows cannot be used: row 1, 'sick/1.jpg', is a link out of {images}, which nobody"):
        prepare(tmp_path, images)
    assert not list((tmp_path / "raw").iterdir())


def test_links_within_the_folder_and_to_the_folder_are_read(tmp_path, images):
    (images / "well/4.jpg").rename(images / "four.jpg")
    (images / "well/4.jpg").symlink_to("../four.jpg")
    (tmp_path / "linked").symlink_to(images)
    assert len(prepare(tmp_path, tmp_path / "linked")[0]) == 4


def test_a_home_folder_is_found(tmp_path, images, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(prepare(tmp_path, "~/images")[0]) == 4


WRONG = {
    "a file that is not there": (
        TABLE + "c.jpg,non,,,\nd.jpg,non,,,\n",
        "2 of 6 rows cannot be used: row 5, 'c.jpg', is not in ",
        "; row 6, 'd.jpg', is not in ",
    ),
    "a label that is not known": (
        TABLE.replace("4.jpg,non", "4.jpg,healthy"),
        "1 of 4 rows cannot be used: row 4, 'well/4.jpg', has the label 'healthy', not one of covid, non; correct",
    ),
    "many wrong rows": (
        TABLE.replace(",non,", ",no,") + "c.jpg,covid,,,\nd.jpg,covid,,,\n",
        "4 of 6 rows cannot be used: row 3, 'well/3.dcm', has the label 'no'",
        "; row 5, 'c.jpg', is not in",
        "; and 1 more; correct them, or take them out",
    ),
    "a file named twice": (TABLE + "sick/1.jpg,covid,,,\n", "row 5, 'sick/1.jpg', is named twice"),
    "one label": ("".join(TABLE.splitlines(keepends=True)[:3]), "images of covid alone; both labels are needed"),
    "no rows": ("file,label\n", "no rows; both labels are needed"),
    "no column file": (TABLE.replace("file", "name", 1), "column 'file' is missing; name it in the header"),
    "no column label": (TABLE.replace("label", "class", 1), "column 'label' is missing; name it in the header"),
    "a misspelt column": (
        TABLE.replace("label", "Lable", 1),
        "column 'label' is missing; did you mean 'Lable'? Then call it 'label'",
    ),
    "a column in capitals": (TABLE.replace("patient", "Patient", 1), "column 'Patient'", "call it 'patient'"),
    "a column twice": (TABLE.replace("view", "label ", 1), "two columns are called 'label'"),
    "the same column twice": (TABLE.replace("view", "label", 1), "two columns are called 'label'"),
    "a row too short": (TABLE.replace("sick/1.jpg,covid,", "sick/1.jpg,covid", 1), "row 1 has 4 values", "5 columns"),
    "a NUL": (TABLE.replace("covid,", "covid,\0", 1), "holds NUL bytes; correct it"),
    "semicolons": (TABLE.replace(",", ";"), "column 'file' is missing", "commas between"),
    "a blank file": (TABLE.replace("sick/1.jpg", ""), "row 1, '', is no path"),
    "a path that goes up": (TABLE.replace("sick/1.jpg", "sick/../../1.jpg"), "row 1, 'sick/../../1.jpg', is no path"),
    "an absolute path": (TABLE.replace("sick/1.jpg", "/etc/passwd"), "row 1, '/etc/passwd', is no path"),
    "a drive": (TABLE.replace("sick/1.jpg", "C:/1.jpg"), "row 1, 'C:/1.jpg', is no path"),
    "nothing": ("", "not a readable CSV"),
}


@pytest.mark.parametrize(("table", "parts"), [(case[0], case[1:]) for case in WRONG.values()], ids=WRONG.keys())
def test_a_table_that_does_not_fit_is_named_with_what_is_wrong(tmp_path, images, refused, table, parts):
    with refused(tmp_path / "table.csv", *parts):
        prepare(tmp_path, images, table)
    assert not list((tmp_path / "raw").iterdir())


def test_one_file_by_two_names_is_named_twice(tmp_path, refused):
    path = zipped(tmp_path / "a.zip", "export/")
    with refused("row 5, 'export/sick/1.jpg', is named twice"):
        prepare(tmp_path, path, TABLE + "export/sick/1.jpg,covid,,,\n")


def test_a_folder_and_a_table_that_are_not_named_or_not_there_say_how_to_name_them(tmp_path, images, refused):
    with refused("dataset.folder.source.images is blank", "-S dataset.folder.source.images=..."):
        prepare(tmp_path, "", raw="a")
    (tmp_path / "b").mkdir()
    with refused("dataset.folder.source.table is blank", "-S dataset.folder.source.table=..."):
        sources.prepare(FolderSource(kind="folder", images=str(images), table=" "), tmp_path / "b", tmp_path, [])
    with refused(f"{tmp_path / 'nowhere'}: not there; correct dataset.folder.source.images"):
        prepare(tmp_path, tmp_path / "nowhere", raw="c")
    with refused("~nobody-here/x: not there; correct dataset.folder.source.images"):
        prepare(tmp_path, "~nobody-here/x", raw="e")
    with refused(f"{tmp_path / 'no.csv'}: not there; correct dataset.folder.source.table"):
        prepare(tmp_path, images, tmp_path / "no.csv", raw="d")


def test_labels_match_without_regard_to_case(tmp_path, images):
    plain, _ = prepare(tmp_path, images)
    loud, _ = prepare(tmp_path, images, TABLE.replace(",covid,", ",COVID,").replace(",non,", ",Non,"), raw="loud")
    assert loud.equals(plain)


@pytest.mark.parametrize("there", ["NFC", "NFD"])
@pytest.mark.parametrize("packed", [False, True])
def test_names_match_whatever_their_unicode_form(tmp_path, images, there, packed):
    other = {"NFC": "NFD", "NFD": "NFC"}[there]
    (images / "sick/1.jpg").rename(images / "sick" / normalize(there, "Röntgen.jpg"))
    if packed:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for path in images.rglob("*.*"):
                archive.write(path, f"export/{path.relative_to(images)}")
    table = TABLE.replace("1.jpg", normalize(other, "Röntgen.jpg"))
    rows, provenance = prepare(tmp_path, tmp_path / "a.zip" if packed else images, table)
    assert rows["member"][0] == f"sick/{normalize(other, 'Röntgen.jpg')}"
    assert provenance["files"][0]["left_out"] == 0
    with Archive(tmp_path / "raw/images.zip") as archive:
        assert archive.read(rows["member"][0]) == FILES["sick/1.jpg"]


def test_a_file_in_two_unicode_forms_is_named_twice(tmp_path, images, refused):
    (images / "sick/1.jpg").rename(images / "sick/\u00f6.jpg")
    table = TABLE.replace("1.jpg", "\u00f6.jpg") + "sick/o\u0308.jpg,covid,,,\n"
    with refused("1 of 5 rows cannot be used: row 5", "is named twice"):
        prepare(tmp_path, images, table)


def test_the_table_is_checked_first_of_all_and_once_copied_it_need_not_be_there(
    tmp_path, images, params, monkeypatch, refused
):
    monkeypatch.chdir(tmp_path)
    Path("table.csv").write_text(TABLE.replace("label", "lable"))
    params["test_sets"] = ["folder"]
    params["dataset"]["folder"]["source"] |= {"images": "images", "table": "table.csv"}
    with refused("table.csv: column 'label' is missing; did you mean 'lable'?"):
        resolve(settings_of(params))
    assert not Path("resolved").exists()
    Path("table.csv").unlink()
    with refused("table.csv: not there; correct dataset.folder.source.table"):
        check_own_images(settings_of(params), "folder")
    Path("data/folder").mkdir(parents=True)
    Path("data/folder/catalogue.csv").touch()
    check_own_images(settings_of(params), "folder")
    check_own_images(settings_of(params), "phantom")


def test_a_zip_that_is_none_or_not_safe_is_refused(tmp_path, refused):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with refused(tmp_path / "a.zip", "not a zip archive"):
        prepare(tmp_path, tmp_path / "a.zip", raw="a")
    with refused("unsafe member name '../x.jpg'"):
        prepare(tmp_path, zipped(tmp_path / "b.zip", more=["../x.jpg"]), raw="b")


def test_where_no_image_can_be_used_nothing_is_written(tmp_path, params, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Path("mine", name).write_text("no image")
    Path("mine/table.csv").write_text("file,label\na.jpg,covid\nb.jpg,non\n")
    params["dataset"]["folder"]["source"] |= {"images": "mine", "table": "mine/table.csv"}
    params["dataset"]["folder"]["max_quarantined_share"] = 1.0
    parameters = settings_of(params).parameters("folder", NETS)
    for stage in (download, split):
        stage(parameters, "folder")
    with refused("folder: none of its 2 images can be used; first 'a.jpg': not an image"):
        augment(parameters, "folder")
    assert not [path for path in Path("data/folder").iterdir() if path.name.strip(".").startswith(("pixels", "images"))]


def test_images_of_a_damaged_archive_are_tried_again_once_it_is_whole(tmp_path, params, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    names = [f"{number}.jpg" for number in range(4)]
    for number, name in enumerate(names):
        Path(f"mine/{name}").write_bytes(jpeg(number))
    Path("mine/table.csv").write_text(
        "\n".join(["file,label", *map(",".join, zip(names, ["covid", "non"] * 2, strict=True)), ""])
    )
    params["dataset"]["folder"]["source"] |= {"images": "mine", "table": "mine/table.csv"}
    parameters = settings_of(params).parameters("folder", NETS)
    for stage in (download, split):
        stage(parameters, "folder")
    (archive,) = Path("data/folder/raw").glob("*.zip")
    whole = archive.read_bytes()
    archive.write_bytes(whole.replace(b"\xff\xda", b"\xff\xdb"))  # each image's first scan
    with refused("folder: none of its 4 images can be used", "is damaged"):
        augment(parameters, "folder")
    archive.write_bytes(whole)
    os.utime(archive, (2e9, 2e9))  # a user is slower than a second
    augment(parameters, "folder")
    assert np.load("data/folder/pixels.npy").shape == (4, 224, 224, 1)


def test_stages_make_a_test_set_of_a_folder_and_quarantine_what_is_no_radiograph(tmp_path, params, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = ["file,label"]
    Path("mine").mkdir()
    for number in range(6):
        Path(f"mine/{number}.jpg").write_bytes(jpeg(number))
        rows.append(f"{number}.jpg,{['covid', 'non'][number % 2]}")
    Path("mine/slice.dcm").write_bytes(dicom(noise(), Modality="CT"))
    Path("mine/film.dcm").write_bytes(dicom(noise(9, dtype=np.uint16), WindowCenter=30000, WindowWidth=9000))
    Path("mine/table.csv").write_text("\n".join([*rows, "slice.dcm,non", "film.dcm,covid", ""]))
    params["dataset"]["folder"]["source"] |= {"images": "mine", "table": "mine/table.csv"}
    params["dataset"]["folder"]["max_quarantined_share"] = 0.2

    for stage in (download, split, augment):
        stage(settings_of(params).parameters("folder", NETS), "folder")
    said = capsys.readouterr().err
    assert "warning: 1 image of folder could not be used and was put aside: slice.dcm (DICOM of modality CT, " in said
    counts, images, quarantined = (
        json.loads(Path(path).read_text())
        for path in (
            "results/folder/split.json",
            "results/folder/images.json",
            "provenance/folder/quarantined.json",
        )
    )
    assert (counts["covid"]["test"], counts["non"]["test"], counts["test_only"]) == (4, 4, 1)
    assert images == {"images": 7, "copies": 0, "quarantined": 1}
    assert list(quarantined) == ["slice.dcm"]
    assert "modality CT" in quarantined["slice.dcm"]
    assert np.load("data/folder/pixels.npy").shape == (7, 224, 224, 1)
    assert Path("data/contact_sheets/folder.png").read_bytes().startswith(b"\x89PNG")
