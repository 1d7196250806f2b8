"""`deepcovid test`: a trained head on a user's own images and labels."""

import csv
import json
import re
import shutil
import sys
import zipfile
from html import escape

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from deepcovid import catalogue, load_head
from deepcovid.commands import main, parser
from deepcovid.commands.measure import BOOTSTRAP
from deepcovid.files import sha256_of
from deepcovid.heads.head_files import read_head
from deepcovid.heads.scoring import score
from deepcovid.nets.features import extract
from deepcovid.nets.zoo import NETS
from deepcovid.settings.analyses import FeatureSettings
from deepcovid.statistics.bootstrap import Bootstrap
from deepcovid.statistics.rates import RunResult, evaluate
from stages.augment import augment
from stages.download import download
from stages.split import split
from tests.browser import visit
from tests.checkouts import ROOT, run, settings_of
from tests.radiographs import dicom, jpeg, noise
from tests.trained import random_weights

FILES = ["report.html", "results.json", "roc.csv", "scores.csv", "put_aside.csv"]
IMAGES = 24


@pytest.fixture
def ward(tmp_path, monkeypatch):
    """The current folder, with images in `ward` and a table of them: two images a patient, the last two of nobody."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ward").mkdir()
    rows = ["file,label,finding,view,patient"]
    for number in range(IMAGES):
        name = f"ward/{number}.{'dcm' if number % 5 == 0 else 'jpg'}"
        pixels = noise(number, (80, 80), low=number * 4, high=number * 4 + 100)
        (tmp_path / name).write_bytes(dicom(pixels) if number % 5 == 0 else jpeg(number))
        finding, patient = ("No Finding" if number % 4 == 1 else ""), ("" if number >= IMAGES - 2 else number // 2)
        rows.append(f"{name[5:]},{['covid', 'Non'][number % 3 > 0]},{finding},PA,{patient}")
    (tmp_path / "ward.csv").write_text("\n".join([*rows, ""]))
    return tmp_path


@pytest.fixture
def test(head, capsys):
    """A function that runs `deepcovid test` here and returns its status, output and errors."""

    def run_it(*arguments, own_head=head, images="ward", table="ward.csv"):
        try:
            status = main(["test", images, "--table", table, "--head", str(own_head), "--device", "cpu", *arguments])
        except SystemExit as ended:
            status = ended.code
            if isinstance(status, str):
                print(status, file=sys.stderr)
                status = 1
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run_it


def rows_of(path):
    with open(path, newline="") as stream:  # noqa: PTH123
        return list(csv.DictReader(stream))


def change(table, old, new):
    text = (table / "ward.csv").read_text()
    assert old in text
    (table / "ward.csv").write_text(text.replace(old, new, 1))


def test_the_folder_holds_a_page_the_numbers_the_scores_and_the_curve(ward, test, head):
    status, out, err = test("-o", "out/tested")
    assert status == 0
    assert sorted(path.name for path in (ward / "out/tested").iterdir()) == sorted(FILES)
    result, scores = json.loads((ward / "out/tested/results.json").read_text()), rows_of("out/tested/scores.csv")
    table = pd.read_csv("ward.csv", dtype=str)
    own = load_head(head, device="cpu").predict([f"ward/{name}" for name in table["file"]])
    positive = (table["label"] == "covid").to_numpy()
    assert [row["file"] for row in scores] == table["file"].tolist()
    assert [float(row["score"]) for row in scores] == pytest.approx(own["score"].tolist(), rel=1e-5)
    assert [row["called"] for row in scores] == own["called"].tolist()
    assert all(row["notice"].startswith("Research only, not for diagnosis.") for row in scores)
    assert result["run"]["auc"]["value"] == pytest.approx(roc_auc_score(positive, own["score"]), abs=1e-6)
    (tn, fp), (fn, tp) = confusion_matrix(positive, own["score"] >= 0.3)
    assert result["run"]["confusion"] == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    assert result["run"]["sensitivity"]["value"] == pytest.approx(tp / (tp + fn), abs=1e-6)
    assert result["run"]["specificity"]["value"] == pytest.approx(tn / (tn + fp), abs=1e-6)
    curve = pd.read_csv("out/tested/roc.csv")[["false_positive_rate", "true_positive_rate"]].to_numpy()
    assert curve == pytest.approx(np.transpose(roc_curve(positive, own["score"])[:2]), abs=1e-5)
    assert rows_of("out/tested/put_aside.csv") == []
    assert f"AUC          {result['run']['auc']['value']:.3f} ({result['run']['auc']['low']:.3f} to " in out
    assert re.search(rf"covid +{tp} +{fn}\nnon +{fp} +{tn}\n", out)
    assert "warning: images.csv" not in err
    assert not list(ward.rglob("*.part"))


def test_intervals_are_by_patient_and_an_image_of_nobody_is_a_patient_of_its_own(ward, test):
    assert test("-o", "by-patient")[0] == 0
    (ward / "ward.csv").write_text(re.sub(r",\d+$", ",", (ward / "ward.csv").read_text(), flags=re.MULTILINE))
    _, _, err = test("-o", "by-image")
    by_patient, by_image = (
        json.loads((ward / name / "results.json").read_text()) for name in ("by-patient", "by-image")
    )
    assert by_patient["without_patient"] == 2
    assert by_image["without_patient"] == IMAGES
    assert by_image["patients"] == {"covid": 8, "non": 16}
    assert sum(by_patient["patients"].values()) < IMAGES
    assert by_patient["run"]["auc"]["value"] == by_image["run"]["auc"]["value"]
    assert by_patient["run"]["auc"]["low"] != by_image["run"]["auc"]["low"]
    assert f"warning: Images whose patient is not known: {IMAGES}." in err


@pytest.mark.pipeline
def test_the_stages_of_the_pipeline_reach_the_same(ward, test, head, params):
    """The table's rows, the images put aside, the scores and every number: decided once, by the same functions."""
    (ward / "ward/ct.dcm").write_bytes(dicom(noise(), Modality="CT"))
    with (ward / "ward.csv").open("a") as table:
        table.write("ct.dcm,non,,,x\n")
    params["dataset"]["folder"]["source"] |= {"images": "ward", "table": "ward.csv"}
    parameters = settings_of(params).parameters("folder", NETS)
    for stage in (download, split, augment):
        stage(parameters, "folder")
    assert test("-o", "out")[0] == 1
    result, scores = json.loads((ward / "out/results.json").read_text()), rows_of("out/scores.csv")
    rows = catalogue.read(ward / "data/folder/images.csv")
    assert json.loads((ward / "provenance/folder/quarantined.json").read_text()) == result["put_aside"]
    names = ["image_id", "label", "finding", "view", "patient_id"]
    assert rows[names].to_numpy().tolist() == [[row["file"], *(row[name] for name in names[1:])] for row in scores]
    file = read_head(head)
    settings = FeatureSettings(device="cpu", precision="fp32", batch_size=32)
    (features,) = extract(load_head(head, device="cpu").net, [np.load("data/folder/pixels.npy")], settings)
    values = score(features, file.weight, file.bias)
    there = evaluate(values, Bootstrap.of(rows, parameters.evaluate), file.choices.cut_off, shown=file.shown)
    assert there == RunResult.model_validate(result["run"])


def test_the_defaults_are_those_of_params_yaml(params):
    parameters = settings_of(params).parameters("folder", NETS)
    options = parser().parse_args(["test", "ward", "--table", "ward.csv", "--head", "head"])
    assert parameters.evaluate == BOOTSTRAP
    assert parameters.max_quarantined_share == options.max_quarantined_share


def test_images_that_the_head_was_trained_on_do_not_count(ward, test, tmp_path, head):
    assert "does not count" not in test()[2]
    assert "may be among these: the pipeline's list of them, images.csv, is not beside" in test()[2]
    own = tmp_path / "mine"
    shutil.copytree(head.parents[4], own / "data")
    rows = [
        {
            "image_id": f"image {number}",
            "archive": "a.zip",
            "member": "x",
            "label": "covid",
            "split": side,
            "sha256": sha256_of(ward / name),
        }
        for number, (name, side) in enumerate([("ward/1.jpg", "train"), ("ward/2.jpg", "test")])
    ]
    catalogue.write(own / "data/phantom/images.csv", pd.DataFrame(rows))
    status, _, err = test("-o", "out", own_head=own / head.relative_to(head.parents[5]))
    assert status == 0
    assert "warning: 1 image does not count, for the head was trained on it or its patient." in err
    assert "may be among these" not in err
    assert "1.jpg" not in {row["file"] for row in rows_of("out/scores.csv")}
    assert json.loads((ward / "out/results.json").read_text())["left_out"] == {
        "images": 1,
        "same_patient": 0,
        "same_image": 1,
    }


def test_an_image_that_cannot_be_used_is_put_aside_and_named_everywhere(ward, test):
    (ward / "ward/1.jpg").write_text("no image")
    status, out, err = test("-o", "out")
    reason = "not an image that can be read; replace it by a PNG, JPEG or DICOM file"
    assert status == 1
    assert out.startswith("AUC ")
    assert f"warning: 1 image of ward could not be used and was put aside: 1.jpg ({reason}).\n" in err
    assert rows_of("out/put_aside.csv") == [{"file": "1.jpg", "why": reason}]
    assert len(rows_of("out/scores.csv")) == IMAGES - 1
    page = (ward / "out/report.html").read_text()
    assert "1 image of ward could not be used and was put aside: 1.jpg (not an image" in page


def test_too_many_images_that_cannot_be_used_stop_it_and_an_option_says_how_many(ward, test):
    for number in (1, 2, 3):
        (ward / f"ward/{number}.jpg").write_text("no image")
    status, out, err = test("-o", "out")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(
        "error: 3 of 24 images cannot be used, more than max_quarantined_share (0.05) allows; first '1.jpg': not an "
    )
    assert not (ward / "out").exists()
    assert test("-o", "out", "--max-quarantined-share", "0.2")[0] == 1
    assert len(rows_of("out/put_aside.csv")) == 3
    assert test("--max-quarantined-share", "2")[0] == 2


def test_a_zip_and_names_in_another_unicode_form_are_read_alike(ward, test):
    assert test("-o", "a")[0] == 0
    with zipfile.ZipFile("ward.zip", "w") as archive:
        for path in (ward / "ward").iterdir():
            archive.write(path, "export/" + path.name.replace("1.jpg", "o\u0308.jpg"))
    (ward / "ward.csv").write_text((ward / "ward.csv").read_text().replace("1.jpg", "\u00f6.jpg"))
    assert test("-o", "b", images="ward.zip")[0] == 0
    scores = [[row["score"] for row in rows_of(f"{name}/scores.csv")] for name in ("a", "b")]
    assert scores[0] == scores[1]


WRONG = {
    "no table": (lambda ward: (ward / "ward.csv").unlink(), "ward.csv: no file; name a CSV"),
    "no images": (lambda ward: shutil.rmtree(ward / "ward"), "ward: not there; name a folder or a zip"),
    "no label": (lambda ward: change(ward, "label", "diagnosis"), "ward.csv: column 'label' is missing"),
    "a misspelt column": (lambda ward: change(ward, "label", "lable"), "did you mean 'lable'? Then call it 'label'"),
    "a wrong label": (lambda ward: change(ward, "Non", "sick"), "1 of 24 rows cannot be used: row 2, '1.jpg', has the"),
    "an image that is not there": (
        lambda ward: (ward / "ward/3.jpg").unlink(),
        "ward.csv: 1 of 24 rows cannot be used: row 4, '3.jpg', is not in ward; correct them, or take them out",
    ),
    "one class": (
        lambda ward: (ward / "ward.csv").write_text("file,label\n1.jpg,non\n2.jpg,non\n"),
        "ward.csv: has images of non alone; both labels are needed",
    ),
    "an output that is there": (lambda ward: (ward / "out").mkdir(), "--output out: is there already; name a new"),
}


@pytest.mark.parametrize(("spoil", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_one_line_before_a_head_is_read_and_nothing_is_written(ward, test, spoil, said):
    spoil(ward)
    before = sorted(ward.rglob("*"))
    status, out, err = test("-o", "out", own_head="no head")
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 2  # the first says that it is for research only
    assert err.splitlines()[1].startswith("error: ")
    assert said in err
    assert sorted(ward.rglob("*")) == before


def test_the_table_is_checked_before_torch_is_imported(ward):
    change(ward, "label", "lable")
    code = "import sys; from deepcovid.commands import main\n"
    code += "try: main(['test', 'ward', '--table', 'ward.csv', '--head', 'x'])\n"
    code += "except SystemExit: sys.exit('torch' in sys.modules)"
    assert run([sys.executable, "-c", code], ward, PYTHONPATH=str(ROOT)).returncode == 0


def test_one_class_that_is_left_is_one_line(ward, test):
    (ward / "ward/1.jpg").write_text("no image")
    (ward / "ward.csv").write_text("file,label\n0.dcm,covid\n1.jpg,non\n")
    status, out, err = test("-o", "out", "--max-quarantined-share", "1")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: ward: 1 test images, in all, and every one covid; ")
    assert not (ward / "out").exists()


def test_a_head_of_another_nets_weights_is_one_line(ward, test, head):
    random_weights(ward / "other.safetensors", "resnet18")
    status, out, err = test("-o", "out", "--weights", "other.safetensors")
    assert (status, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"error: {head}: ")
    assert "other.safetensors" in err.splitlines()[-1]
    assert not (ward / "out").exists()


def test_a_full_disk_leaves_no_half_of_the_folder(ward, test, monkeypatch):
    def full(*_):
        raise OSError(28, "full")

    monkeypatch.setattr("deepcovid.commands.test.write_csv", full)
    status, _, err = test("-o", "out")
    assert status == 1
    assert err.splitlines()[-1] == "error: out: full: the disk is full; free some space and run again"
    assert sorted(path.name for path in ward.iterdir()) == ["ward", "ward.csv"]


@pytest.mark.pipeline
def test_the_page_is_one_file_in_the_reports_look_and_fits_a_telephone(ward, test):
    (ward / "ward").rename(ward / "a-ward-with-a-long-name-without-any-blanks-in-it")
    assert test("-o", "out", images="a-ward-with-a-long-name-without-any-blanks-in-it")[0] == 0
    page = (ward / "out/report.html").read_text()
    assert page.count("Research software, not for diagnosis.") == 2
    assert page.count("<svg") == 3
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    seen = visit(ward / "out/report.html")
    assert (seen.requests, seen.console) == ([], [])
    frame = f'<iframe id="page" width="390" height="900" style="border: 0" srcdoc="{escape(page)}"></iframe>'
    width = "document.title = `${page.contentDocument.documentElement.scrollWidth} pixels`"
    (ward / "framed.html").write_text(f"{frame}<script>page.onload = () => {{ {width} }}</script>")
    assert "<title>390 pixels</title>" in visit(ward / "framed.html").dom
