"""Both upstream sources in miniature: covid-chestxray-dataset's archive, CheXpert's table and folder."""

import re
import shutil
import zipfile

import pytest

from deepcovid import sources
from deepcovid.archives import Archive
from deepcovid.catalogue import NORMAL
from deepcovid.fetching import remote_files
from deepcovid.files import sha256_of
from deepcovid.filtering import filter_images
from deepcovid.settings.datasets import CohenChexpertSource, CohenSource, FilterSettings
from deepcovid.sources.chexpert import FINDINGS
from tests.checkouts import ROOT
from tests.radiographs import jpeg

METADATA = """patientid,finding,view,modality,filename,sex,age,license
7,COVID-19,AP Supine,X-ray,supine.jpg,F,60,CC BY
7,"COVID-19, ARDS",AP,X-ray,ards.jpg,F,61,CC BY
8,Pneumonia/Viral/COVID-19,PA,X-ray,later-edition.png,M,50,
8,COVID-19,Axial,CT,slice.png,M,50,
8,COVID-19,AP,X-ray,not-in-the-archive.png,M,50,
9,SARS,?,X-ray,sars.jpg,,,CC0
9,No Finding,PA,X-ray,normal.jpg,M,30,CC0
9,todo,AP,X-ray,todo.jpg,M,30,CC0
9,,AP,X-ray,blank.jpg,M,30,CC0
9,Unknown,AP,X-ray,unknown.jpg,M,30,CC0
"""
NAMES = [name for name in METADATA.replace(",", "\n").split("\n") if name.endswith((".jpg", ".png"))]
COHEN = "covid-chestxray-dataset/covid-chestxray-dataset-master.zip"
REFERENCE = ROOT / "reference"


def labels(paths):
    """CheXpert's table: patients take turns at views, and at no finding, edema and none marked."""
    rows = []
    for number, path in enumerate(paths):
        frontal = path.endswith("frontal.jpg")
        found = {0: NORMAL, 1: "Edema"}.get(number % 3)
        values = ["1.0" if finding == found else "" for finding in (NORMAL, *FINDINGS)]
        view = ["AP", "PA"][number % 2] if frontal else ""
        facts = [f"CheXpert-v1.0-small/train/{path}", "Female", "40", "Frontal" if frontal else "Lateral", view]
        rows.append(",".join(facts + values))
    return "\n".join([",".join(["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", NORMAL, *FINDINGS]), *rows, ""])


FRONTAL = [f"patient{number:05}/study1/view1_frontal.jpg" for number in range(1, 9)]
LATERAL = "patient00001/study1/view2_lateral.jpg"


@pytest.fixture
def mirror(tmp_path):
    """A mirror with both sources; CheXpert as a folder."""
    folder = tmp_path / "mirror"
    (folder / COHEN).parent.mkdir(parents=True)
    with zipfile.ZipFile(folder / COHEN, "w") as archive:
        archive.writestr("covid-chestxray-dataset-master/metadata.csv", METADATA)
        for seed, name in enumerate(NAMES):
            if name != "not-in-the-archive.png":
                archive.writestr(f"covid-chestxray-dataset-master/images/{name}", jpeg(seed))
    for seed, path in enumerate([*FRONTAL, LATERAL]):
        target = folder / "CheXpert-v1.0-small/train" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(jpeg(100 + seed))
    (folder / "CheXpert-v1.0-small/train.csv").write_text(labels([*FRONTAL, LATERAL]))
    return folder


def prepare(folder, *mirrors, images=100, seed=0):
    folder.mkdir()
    source = CohenChexpertSource(kind="cohen-chexpert", chexpert_images=images, seed=seed)
    return sources.prepare(source, folder, REFERENCE, mirrors)


def as_zip(mirror, tmp_path, *, with_table):
    """Put CheXpert into a zip, as it is handed out, in a mirror of its own."""
    source, other = mirror / "CheXpert-v1.0-small", tmp_path / "zipped"
    other.mkdir()
    with zipfile.ZipFile(other / "CheXpert-v1.0-small.zip", "w") as archive:
        for path in sorted(source.rglob("*.jpg")):
            archive.write(path, path.relative_to(mirror).as_posix())
        archive.writestr("CheXpert-v1.0-small/valid/patient90000/study1/view1_frontal.jpg", b"")
        if with_table:
            archive.write(source / "train.csv", "CheXpert-v1.0-small/train.csv")
    shutil.rmtree(source)
    return other


def test_covid_is_every_xray_with_covid_and_a_file_and_non_the_frontal_images(mirror, tmp_path):
    table, provenance = prepare(tmp_path / "raw", mirror)
    by_label = table.groupby("label")["image_id"].agg(set)
    assert by_label["covid"] == {"cohen/supine.jpg", "cohen/ards.jpg", "cohen/later-edition.png"}
    assert by_label["non"] == {f"chexpert/{path}" for path in FRONTAL}
    assert provenance["images"] == len(table)
    facts = ["finding", "view", "modality", "patient_id", "sex", "age", "source", "source_image", "licence", "width"]
    rows = table.set_index("image_id")[facts].T.to_dict("list")
    assert rows["cohen/ards.jpg"] == [
        *("COVID-19, ARDS", "AP", "X-ray", "cohen-7", "F", "61"),
        *("covid-chestxray-dataset", "ards.jpg", "CC BY", ""),
    ]
    assert rows[f"chexpert/{FRONTAL[1]}"] == [
        *("Edema", "PA", "X-ray", "chexpert-patient00002", "F", "40"),
        *("CheXpert", FRONTAL[1], "CheXpert: research use only, no redistribution", ""),
    ]


def test_sizes_of_the_originals_are_those_of_the_same_name_in_covid_xray_5k(mirror, tmp_path):
    (mirror / "covid-xray-5k").mkdir()
    listed = (
        "split,class,file,original_width,original_height",
        "train,covid,ards.jpg,2000,1800",
        "test,non,supine.jpg,9,9",
    )
    (mirror / "covid-xray-5k/edition.csv").write_text("\n".join(listed))
    rebuilt = CohenChexpertSource(kind="cohen-chexpert", chexpert_images=100, seed=0)
    for source in (rebuilt, CohenSource(kind="cohen")):
        raw = tmp_path / source.kind
        raw.mkdir()
        table, provenance = sources.prepare(source, raw, REFERENCE, [mirror])
        sizes = table[table["width"] != ""].set_index("image_id")[["width", "height"]].T.to_dict("list")
        assert sizes == {"cohen/ards.jpg": ["2000", "1800"]}
        assert "covid-xray-5k/edition.csv" in [record["name"] for record in provenance["files"]]


def test_every_row_names_its_own_bytes(mirror, tmp_path):
    table, _ = prepare(tmp_path / "raw", mirror)
    for row in table.itertuples():
        with Archive(tmp_path / "raw" / row.archive) as archive:
            assert archive.digest(row.member) == row.sha256
        if row.label == "non":
            assert sha256_of(mirror / "CheXpert-v1.0-small/train" / row.member) == row.sha256


def test_the_filter_leaves_ap_images_of_both(mirror, tmp_path):
    kept, _ = filter_images(
        prepare(tmp_path / "raw", mirror)[0], FilterSettings(views=["AP", "AP Supine"], modality=["X-ray"])
    )
    expected = {"cohen/supine.jpg", "cohen/ards.jpg", *(f"chexpert/{path}" for path in FRONTAL[::2])}
    assert set(kept["image_id"]) == expected


def drawn(folder):
    with Archive(folder / "chexpert.zip") as archive:
        return archive.members()


def test_the_sample_is_its_seeds_and_not_the_order_of_the_rows(mirror, tmp_path):
    prepare(tmp_path / "a", mirror, images=4)
    (mirror / "CheXpert-v1.0-small/train.csv").write_text(labels([LATERAL, *FRONTAL[::-1]]))
    prepare(tmp_path / "b", mirror, images=4)
    assert len(drawn(tmp_path / "a")) == 4
    assert (tmp_path / "a/chexpert.zip").read_bytes() == (tmp_path / "b/chexpert.zip").read_bytes()
    samples = set()
    for seed in range(1, 6):
        prepare(tmp_path / f"seed {seed}", mirror, images=4, seed=seed)
        samples.add(tuple(drawn(tmp_path / f"seed {seed}")))
    assert len(samples) > 1


@pytest.mark.parametrize("with_table", [True, False])
def test_chexpert_as_a_zip_gives_the_same_as_its_folder(mirror, tmp_path, with_table):
    first, _ = prepare(tmp_path / "a", mirror, images=5)
    table = mirror / "CheXpert-v1.0-small/train.csv"
    content = table.read_text()
    other = as_zip(mirror, tmp_path, with_table=with_table)
    if not with_table:
        table.parent.mkdir()
        table.write_text(content)
    second, _ = prepare(tmp_path / "b", mirror, other, images=5)
    assert first.equals(second)
    assert (tmp_path / "a/chexpert.zip").read_bytes() == (tmp_path / "b/chexpert.zip").read_bytes()
    assert (tmp_path / "b/train.csv").read_text() == content


def test_rows_without_a_file_are_not_drawn_and_are_counted(mirror, tmp_path):
    for path in FRONTAL[:3]:
        (mirror / "CheXpert-v1.0-small/train" / path).unlink()
    table, provenance = prepare(tmp_path / "raw", mirror)
    assert set(table.loc[table["label"] == "non", "source_image"]) == set(FRONTAL[3:])
    record = provenance["files"][-1]
    assert record["edition"] == "5 of 5 frontal images, drawn with seed 0"
    assert (record["frontal_rows"], record["without_file"], record["images"]) == (8, 3, 5)
    assert record["sha256"] == sha256_of(tmp_path / "raw/chexpert.zip")


def test_images_that_are_nowhere_or_elsewhere_are_an_error_with_the_remedy(mirror, tmp_path, refused):
    train = mirror / "CheXpert-v1.0-small/train"
    train.rename(mirror / "away")
    train.mkdir()
    with refused(f"{train}: has none of the 8 frontal images", "patientNNNNN/studyN/viewN_frontal.jpg", "Stanford"):
        prepare(tmp_path / "a", mirror)
    train.rmdir()
    with refused(f"CheXpert-v1.0-small/train: not in the mirror {mirror}; register with Stanford", "11 GB"):
        prepare(tmp_path / "b", mirror)
    assert not list(tmp_path.glob("*/chexpert.zip"))


def cohen_alone(folder, mirror):
    folder.mkdir()
    return sources.prepare(CohenSource(kind="cohen"), folder, REFERENCE, [mirror])[0]


def test_cohen_alone_sets_covid_against_the_known_findings_of_the_same_collection(mirror, tmp_path):
    table = cohen_alone(tmp_path / "raw", mirror).set_index("source_image")
    covid = dict.fromkeys(["supine.jpg", "ards.jpg", "later-edition.png"], "covid")
    assert table["label"].to_dict() == covid | {"sars.jpg": "non", "normal.jpg": "non"}
    assert set(table["source"]) == {"covid-chestxray-dataset"}
    assert table.loc["normal.jpg", "finding"] == NORMAL
    assert table.loc["sars.jpg", "view"] == ""


def test_both_data_sets_have_the_same_covid_rows(mirror, tmp_path):
    both, alone = prepare(tmp_path / "a", mirror)[0], cohen_alone(tmp_path / "b", mirror)
    rows = [table[table["label"] == "covid"].reset_index(drop=True) for table in (both, alone)]
    assert rows[0].equals(rows[1])


def test_the_archive_of_a_commit_whose_folder_has_its_name_gives_the_same_rows(mirror, tmp_path):
    of_branch = cohen_alone(tmp_path / "a", mirror)
    with zipfile.ZipFile(mirror / COHEN) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(mirror / COHEN, "w") as archive:
        for name, part in content.items():
            archive.writestr(name.replace("-master/", "-6a4242344473ccb5ed0d2148d8c7bfb1691e4ed8/"), part)
    of_commit = cohen_alone(tmp_path / "b", mirror)
    assert not of_commit["member"].isin(of_branch["member"]).any()
    assert of_commit.drop(columns="member").equals(of_branch.drop(columns="member"))


def test_no_address_is_that_of_a_branch_which_moves():
    (cohen,) = (remote for remote in remote_files(REFERENCE / "sources.yaml", "cohen") if remote.path == COHEN)
    assert re.fullmatch("[0-9a-f]{40}", cohen.commit)
    assert cohen.url.endswith(f"/archive/{cohen.commit}.zip")
    assert "/refs/heads/" not in (REFERENCE / "sources.yaml").read_text()


def test_a_file_has_the_same_address_and_editions_for_every_data_set_that_takes_it():
    seen = {}
    for kind in ("covid-xray-5k", "cohen-chexpert", "cohen"):
        for remote in remote_files(REFERENCE / "sources.yaml", kind):
            assert seen.setdefault(remote.path, remote) == remote
    assert {COHEN, "CheXpert-v1.0-small/train.csv"} <= set(seen)
