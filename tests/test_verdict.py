"""The verdict: the audits' main numbers, and the sentences that are computed from them."""

import copy
import json
from pathlib import Path

import pandas as pd
import pytest

from deepcovid.audits import leakage
from deepcovid.audits.verdict import KINDS, sentences, verdict
from deepcovid.settings import validate
from stages.audit import audit
from tests.audits import ACQUISITION, BASELINES, CALIBRATION, HIDDEN, LEAKAGE, external


def judged(acquisition=ACQUISITION, baselines=BASELINES, tests=(), share=0.75):
    return verdict(LEAKAGE, acquisition, baselines, HIDDEN, tests, share)


def test_the_verdict_gathers_each_audits_main_number_with_its_interval():
    found = judged(tests=[external()])
    assert found["leaks"] == {
        "test_images": 2, "share": 2 / 300, "low": 0.002, "high": 0.024,
        "same_file": 1, "same_pixels": 1, "near_duplicate": 2, "same_patient": 0,
        "sensitivity": {"rate": 0.82, "low": 0.77, "high": 0.86}, "expected_by_chance": {"pairs": 0.6, "high": 11.2},
    }  # fmt: skip
    assert found["nets"] == {"resnet18": {"auc": 0.99, "low": 0.97, "high": 1.0}}
    assert found["hidden"] == {"resnet18": {"share": 0.75, "auc": 0.95, "low": pytest.approx(0.93), "high": 0.97}}
    elsewhere = found["external"]["elsewhere"]["resnet18"]
    assert (elsewhere["auc"], elsewhere["low"], elsewhere["high"]) == (0.55, pytest.approx(0.5), pytest.approx(0.6))
    assert (elsewhere["sensitivity"]["rate"], elsewhere["specificity"]["rate"]) == (0.8, 0.2)
    assert elsewhere["views"]["AP"]["auc"] == 0.62


def test_the_best_without_disease_is_the_highest_of_both_audits_but_never_the_pipelines_net():
    assert judged()["without_disease"] == {
        "name": "how the image was taken, all together", "auc": 0.97, "low": pytest.approx(0.95), "high": 0.99,
    }  # fmt: skip
    alone = {**ACQUISITION, "together": {"skipped": "too few", "variables": []}}
    assert judged(alone)["without_disease"]["name"] == "three figures of sharpness"
    without_figures = {**BASELINES, "baselines": BASELINES["baselines"][1:]}
    assert judged(alone, without_figures)["without_disease"]["name"] == "image size"


def test_a_variable_that_is_known_of_some_images_only_says_of_how_many():
    some = copy.deepcopy(ACQUISITION)
    some["variables"][0] |= {"auc": 0.99, "low": 0.98, "high": 1.0, "known": {"covid": 59, "non": 500}}
    found = judged(some)
    assert found["without_disease"]["known"] == {"covid": 59, "non": 500}
    assert "from: image size (known of 59 COVID images and 500 others)." in " ".join(sentences(found, LEAKAGE))


def test_the_sentences_say_the_numbers():
    text = " ".join(sentences(judged(tests=[external()]), LEAKAGE))
    assert "2 of 300 test images (0.67 %, 0.20 to 2.40 %) resemble a training image or are known to share" in text
    assert "pairs: 1 as the same file, 1 as the same pixels," in text
    assert "2 as nearly the same picture; the search for near-duplicates finds 82 % (77 to 86 %) of augmented" in text
    assert "copies, and 0.6 pairs by chance alone (at most 11, at 95 %)." in text
    assert "Within AP alone (160 COVID, 22 others) the AUC is 0.620 (0.570 to 0.670) with ResNet18." in text
    assert "Without a trained net an AUC of" in text
    assert "0.970 (0.950 to 0.990)" in text
    assert "0.990 (0.970 to 1.000) with ResNet18" in text
    assert "0.80 (0.75 to 0.85) and 0.20 (0.15 to 0.25) with ResNet18" in text
    assert "75 % of the side" in text
    assert "elsewhere (348 COVID, 100 others" in text
    assert "0.550 (0.500 to 0.600)" in text
    assert "Not tested" not in text


def test_what_was_not_found_or_not_run_is_said():
    clean = copy.deepcopy(LEAKAGE)
    clean["leaked"] |= {"test_images": 0, "share": 0.0, "low": 0.0, "high": 0.0126}
    clean["counts"] = {kind: {"pairs": 0, "test_images": 0} for kind in clean["counts"]}
    text = " ".join(sentences(verdict(clean, ACQUISITION, BASELINES, HIDDEN, [], 0.75), clean))
    assert "0 of 300 test images (0.00 %, 0.00 to 1.26 %) resemble a training image or are known to share its" in text
    assert "pairs: " not in text
    assert "Not tested on other people's images" in text
    assert "not looked for" not in text


def test_another_square_may_be_named():
    assert judged(share=0.5)["hidden"]["resnet18"]["auc"] == 0.97


def test_lesions_beside_the_square_are_said_to_be_seen():
    known = copy.deepcopy(HIDDEN)
    for square in known["nets"][0]["squares"]:
        square["lesions_visible"] = 0.081
    found = verdict(LEAKAGE, ACQUISITION, BASELINES, known, [], 0.75)
    assert found["hidden"]["resnet18"]["lesions_visible"] == 0.081
    assert "in the middle, beside which 8.1 % of the lesions' area stays visible, in" in " ".join(
        sentences(found, LEAKAGE)
    )


def test_near_duplicates_that_were_not_looked_for_are_not_said_to_be_absent():
    unknown = {**LEAKAGE, "near_duplicates": {"skipped": "no patients are known"}}
    unknown["counts"] = {**LEAKAGE["counts"], "near_duplicate": {"pairs": 0, "test_images": 0}}
    text = " ".join(sentences(verdict(unknown, ACQUISITION, BASELINES, HIDDEN, [], 0.75), unknown))
    assert "1 as the same pixels; near-duplicates were not looked for (no patients are known)." in text


def test_every_kind_of_leak_that_is_counted_has_words():
    assert tuple(KINDS) == leakage.KINDS


@pytest.fixture
def audits(tmp_path, params, monkeypatch):
    """Settings, and what the audits of phantom wrote, in the present folder."""
    monkeypatch.chdir(tmp_path)
    params["models"], params["test_sets"] = ["resnet18"], ["cohen"]
    found = {"leakage": LEAKAGE, "acquisition": ACQUISITION, "baselines": BASELINES, "hidden": HIDDEN}
    found |= {"calibration": CALIBRATION, "external-cohen-resnet18": external("cohen")}
    Path("metrics/phantom/audit").mkdir(parents=True)
    for name, value in found.items():
        Path(f"metrics/phantom/audit/{name}.json").write_text(json.dumps(value))
    return validate(params, "params.yaml")


def test_the_stage_writes_the_verdict_and_every_reliability_curve(audits):
    audit(audits, "phantom")
    assert json.loads(Path("metrics/phantom/audit.json").read_text()) == judged(tests=[external("cohen")])
    curves = pd.read_csv("plots/phantom/reliability.csv")
    assert curves["images"].tolist() == ["phantom", "phantom", "cohen", "cohen"]
    assert curves["images_in_bin"].tolist() == [80, 20, 80, 20]


@pytest.mark.parametrize("name", ["leakage", "hidden", "calibration", "external-cohen-resnet18"])
@pytest.mark.parametrize(
    ("content", "said"),
    [('{"counts": {', "not JSON"), ("", "not JSON"), ("[1]", "not as its stage writes it"), ("\udcff", "not JSON")],
)
def test_a_broken_audit_is_named_and_nothing_is_written(audits, refused, name, content, said):
    path = Path(f"metrics/phantom/audit/{name}.json")
    path.write_bytes(content.encode(errors="surrogateescape"))
    with refused("metrics/phantom/audit", said, "dvc repro", path if said == "not JSON" else ""):
        audit(audits, "phantom")
    assert not Path("metrics/phantom/audit.json").exists()
    assert not Path("plots").exists()


def test_audits_of_another_version_are_refused(audits, refused):
    Path("metrics/phantom/audit/leakage.json").write_text("{}")
    with refused("metrics/phantom/audit: a file there is not as its stage writes it", "'leaked'", "dvc repro"):
        audit(audits, "phantom")
