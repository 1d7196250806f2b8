"""What is told of the audits: their paragraph, the figure that compares them, and that a new one needs no more."""

import subprocess
import sys

import pytest

from deepcovid.audits.leakage import Count, NearDuplicates
from deepcovid.audits.registry import AUDITS, plots_of, read_results, results_of, sentences, ways_of
from deepcovid.audits.verdict import verdict
from deepcovid.errors import UserError
from deepcovid.statistics.estimate import Headline, write_result
from tests.audits import ACQUISITION, BASELINES, CALIBRATION, CHANGED, HIDDEN, LEAKAGE, Machines, area, external, found
from tests.checkouts import ROOT


def said(results):
    return " ".join(sentences(results))


def changed(result, **fields):
    """Return a result with other fields."""
    return result.model_copy(update=fields)


ALONE = changed(ACQUISITION, together=changed(ACQUISITION.together, auc=None, skipped="too few"))


def test_each_audit_has_its_main_number_with_its_interval_as_headline():
    assert LEAKAGE.headline() == Headline(sensitivity=LEAKAGE.near_duplicates.search.sensitivity.value)
    assert ACQUISITION.headline() == Headline(auc=0.97, auc_low=area(0.97).low, auc_high=0.99)
    assert BASELINES.headline() == Headline(auc=0.97, auc_low=area(0.97).low, auc_high=0.99)
    assert HIDDEN.headline() == {"resnet18": Headline(auc=0.95, auc_low=area(0.95).low, auc_high=0.97)}
    own = external().headline()["resnet18"]
    assert (own.auc, own.sensitivity, own.specificity) == (0.55, 0.8, 0.2)
    assert (own.tp, own.fn, own.fp, own.tn) == (278, 70, 80, 20)


def test_the_best_without_a_trained_net_is_told_with_how_many_were_tried():
    text = said(found())
    assert (
        "Without a trained net an AUC of 0.970 (0.950 to 0.990) can be had, from: how the image was taken, all "
        "together. It is the best of 7 on these very images; the interval allows for the choice." in text
    )
    assert "The difference from that best is +0.020 (-0.010 to +0.050) with ResNet18." in text


def test_the_paragraph_says_the_numbers_in_the_order_of_the_audits():
    tests = found(external(), external("farther", auc=0.6))
    assert said(tests) == (
        "1 of 100 COVID test images, from 1 of 61 patients, and 1 of 200 others, from 1 of 180 patients, resemble "
        "a training image or share its known patient. Pairs of a training and a test image: 1 as the same file, 1 "
        "as the same pixels, 2 as nearly the same picture. The search for near-duplicates finds 82 % (77 to 86 %) "
        "of other augmented copies. Of pairs of two COVID images it finds 1; 0.0 are expected by chance (at most "
        "9, at 95 %). Of pairs with one other at least it finds 1; 0.6 are expected by chance (at most 11, at 95 "
        "%). The files tell the classes apart by what no net is given, though it may leave traces in the pixels. "
        "The short side, pixels is 320 for 0 of 184 COVID images and 500 of 500 others. Without a trained net an "
        "AUC of 0.970 (0.950 to 0.990) can be had, from: how the image was taken, all together. It is the best of "
        "7 on these very images; the interval allows for the choice. The pipeline's own heads reach 0.990 (0.970 "
        "to 1.000) with ResNet18. The difference from that best is +0.020 (-0.010 to +0.050) with ResNet18. With a "
        "black square of 75 % of the side in the middle, in training and in test, heads reach 0.950 (0.930 to "
        "0.970) with ResNet18. ResNet18 gives 100 COVID-19 test images +5.00 (+4.95 to +5.05) more log-odds than "
        "the same chests without lesions and in the other collection. Of this, the lesions make +1.00 (+0.95 to "
        "+1.05) and the collection +4.00 (+3.95 to +4.05). Of 100 COVID-19 test images ResNet18 calls 85 COVID. "
        "With their middle in the frame of another COVID-19 patient it calls 80; in the frame of an image without "
        "COVID-19, 12. Heads that never saw COVID-19 were trained on 100 images without it of elsewhere in its "
        "place; 19 of them have no finding. They were tested on the COVID-19 test images of phantom. ResNet18 then "
        "reaches an AUC of 0.980 (0.930 to 1.030); trained on the COVID-19 originals, 0.990 (0.940 to 1.040). The "
        "difference is +0.010 (-0.010 to +0.030). As a control, ResNet18 learned findings of phantom itself that "
        "look like COVID-19 (40 images) in its place: it reaches 0.600 (0.550 to 0.650). Heads of ResNet18 that "
        "are trained and tested within elsewhere reach 0.640 (0.580 to 0.700) there: COVID-19 against the rest, "
        "cross-validated by patient. Heads that never saw COVID-19 were trained on 100 images without it of "
        "farther in its place; 19 of them have no finding. They were tested on the COVID-19 test images of "
        "phantom. ResNet18 then reaches an AUC of 0.980 (0.930 to 1.030); trained on the COVID-19 originals, 0.990 "
        "(0.940 to 1.040). The difference is +0.010 (-0.010 to +0.030). As a control, ResNet18 learned findings of "
        "phantom itself that look like COVID-19 (40 images) in its place: it reaches 0.600 (0.550 to 0.650). Heads "
        "of ResNet18 that are trained and tested within farther reach 0.640 (0.580 to 0.700) there: COVID-19 "
        "against the rest, cross-validated by patient. The test set elsewhere has 348 COVID images and 100 others, "
        "none of them known to be of a patient in training. On the images of elsewhere the pipeline's own heads "
        "reach 0.550 (0.500 to 0.600) with ResNet18. There, sensitivity and specificity at the cut-off are 0.80 "
        "(0.75 to 0.85) and 0.20 (0.15 to 0.25) with ResNet18. On their own test images they reach 0.950 (0.900 to "
        "1.000) with ResNet18. Their scores tell images without COVID-19 of elsewhere from those of their own test "
        "set: AUC 0.930 (0.880 to 0.980) with ResNet18. Within AP alone (160 against 22 images): AUC 0.620 (0.570 "
        "to 0.670) with ResNet18. No finding there against no finding here (20 against 90 images): AUC 0.970 "
        "(0.920 to 1.020) with ResNet18. Called COVID are 15 and 1 with ResNet18. The test set farther has 348 "
        "COVID images and 100 others, none of them known to be of a patient in training. On the images of farther "
        "the pipeline's own heads reach 0.600 (0.550 to 0.650) with ResNet18. There, sensitivity and specificity "
        "at the cut-off are 0.80 (0.75 to 0.85) and 0.20 (0.15 to 0.25) with ResNet18. On their own test images "
        "they reach 0.950 (0.900 to 1.000) with ResNet18. Their scores tell images without COVID-19 of farther "
        "from those of their own test set: AUC 0.930 (0.880 to 0.980) with ResNet18. Within AP alone (160 against "
        "22 images): AUC 0.620 (0.570 to 0.670) with ResNet18. No finding there against no finding here (20 "
        "against 90 images): AUC 0.970 (0.920 to 1.020) with ResNet18. Called COVID are 15 and 1 with ResNet18."
    )


def test_nets_are_told_by_rising_auc():
    nets = {name: changed(BASELINES.baselines["resnet18"], auc=area(auc)) for name, auc in
            (("resnet50", 0.95), ("resnet18", 0.99), ("squeezenet1_0", 0.9))}  # fmt: skip
    results = found() | {"baselines": changed(BASELINES, baselines=BASELINES.baselines | nets)}
    text = said(results)
    assert text.index("with SqueezeNet") < text.index("with ResNet50") < text.index("with ResNet18")


def test_what_was_not_found_or_not_run_is_said():
    clean = changed(
        LEAKAGE,
        leaked={label: changed(own, images=0, patients=0) for label, own in LEAKAGE.leaked.items()},
        counts=dict.fromkeys(LEAKAGE.counts, Count(pairs=0, test_images=0)),
    )
    text = said(found() | {"leakage": clean})
    assert "0 of 100 COVID test images and 0 of 200 others resemble a training image or share its known patient" in text
    assert "Pairs of a training" not in text
    assert "Not tested on other people's images: none is named in test_sets." in text
    assert "not looked for" not in text
    assert "Not tested" not in said(found(external()))


def test_another_square_may_be_named():
    other = changed(HIDDEN, told="hidden-0.5")
    assert other.headline()["resnet18"].auc == 0.97
    assert "black square of 50 % of the side in the middle, in training and in test, heads reach 0.970" in said(
        found() | {"hidden": other}
    )


def test_lesions_beside_the_square_are_said_to_be_seen():
    squares = {key: changed(square, lesions_visible=0.081) for key, square in HIDDEN.nets["resnet18"].items()}
    text = said(found() | {"hidden": changed(HIDDEN, nets={"resnet18": squares})})
    assert "Beside that square, 8.1 % of the lesions' area stays visible." in text


def test_near_duplicates_that_were_not_looked_for_are_not_said_to_be_absent():
    unknown = changed(
        LEAKAGE,
        near_duplicates=NearDuplicates(by="matched points", skipped="no patients are known"),
        counts=LEAKAGE.counts | {"near_duplicate": Count(pairs=0, test_images=0)},
    )
    text = said(found() | {"leakage": unknown})
    assert "1 as the same pixels. Near-duplicates were not looked for: no patients are known." in text


def test_ways_are_drawn_highest_first_and_equal_ones_in_the_order_of_the_audits():
    same = changed(ACQUISITION.variables["view"], auc=area(0.96))
    results = found() | {"acquisition": changed(ACQUISITION, variables={"view": same})}
    titles = [way.title for way in ways_of(results)]
    assert titles == [
        "ResNet18, ImageNet weights", "how the image was taken, all together", "view", "three figures of sharpness",
        "ResNet18, random weights",
    ]  # fmt: skip


def test_results_are_read_by_name_whatever_is_beside_them(tmp_path):
    for name, result in found(external("cohen"), external("folder")).items():
        write_result(tmp_path / f"{name}.json", result)
    write_result(tmp_path / "calibration.json", CALIBRATION)
    read = read_results(tmp_path)
    assert list(read) == list(results_of(["cohen", "folder"]))
    assert said(read) == said(found(external("cohen"), external("folder")))


@pytest.mark.parametrize(
    "content", ['{"counts": {', "", "[1]", "{}", "\udcff", '{"images": {"train": 1, "test": "2"}}']
)
def test_a_result_that_is_not_as_its_stage_wrote_it_is_named(tmp_path, refused, content):
    path = tmp_path / "leakage.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with refused(f"{path}: not as its stage writes it", "dvc repro"):
        read_results(tmp_path)


def test_a_programming_error_is_not_told_as_the_users(tmp_path, monkeypatch):
    write_result(tmp_path / "leakage.json", LEAKAGE)
    monkeypatch.setattr(type(LEAKAGE), "sentences", lambda self: [self.misspelt])
    with pytest.raises(AttributeError, match="misspelt"):
        said(read_results(tmp_path))


def test_the_tables_of_plots_have_a_row_per_way_square_and_bin():
    tables = plots_of("phantom", CALIBRATION, found(external("cohen")))
    assert set(tables) == {"enough", "hidden", "reliability"}
    for table in tables.values():
        assert set(table["dataset"]) == {"phantom"}
        assert table.columns[0] == "dataset"
    assert tables["enough"]["title"].tolist() == [way.label for way in ways_of(found(external("cohen")))]
    assert tables["enough"]["auc"].is_monotonic_decreasing
    assert tables["hidden"]["shows"].tolist() == ["outside"] * 3 + ["inside"]
    assert tables["reliability"]["images"].tolist() == ["phantom", "phantom", "cohen", "cohen"]
    assert tables["reliability"]["images_in_bin"].tolist() == [80, 20, 80, 20]
    assert tables["reliability"]["observed_low"].tolist() == [0.05, 0.5] * 2


def test_the_registry_and_the_stages_without_nets_do_not_load_torch():
    modules = ("deepcovid.audits.registry", "deepcovid.report.audit", "stages._leakage")
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_an_audit_of_the_registry_is_told_without_further_edits(monkeypatch, tmp_path):
    monkeypatch.setitem(AUDITS, "machines", Machines)
    machines = Machines(auc=0.98)
    results = found() | {"machines": machines}
    assert [*results_of(["cohen"])][-1] == "machines"
    assert said(results).endswith("The machine's maker tells 0.98.")
    assert "maker of the machine" in [way.title for way in ways_of(results)]
    assert plots_of("phantom", CALIBRATION, results)["machines"]["auc"].tolist() == [0.98]
    write_result(tmp_path / "machines.json", machines)
    assert read_results(tmp_path) == {"machines": machines}
    (tmp_path / "machines.json").write_text("{}")
    with pytest.raises(UserError, match=r"machines\.json"):
        read_results(tmp_path)


def test_the_verdict_is_a_few_short_sentences_each_with_its_number():
    sentences = list(verdict(found(external()), "resnet18"))
    assert len(sentences) == 6
    assert all(len(sentence.split()) <= 30 for sentence in sentences)
    for sentence, number in zip(
        sentences, ("0.950 (", "0.640 (", "0.930 (", "0.980 (", "copies reach 0.990, those", "+1.00 ("), strict=True
    ):
        assert number in sentence
    patients = changed(CHANGED.nets["resnet18"], parts=None)
    *_, last = verdict(found(external()) | {"changed": changed(CHANGED, nets={"resnet18": patients})}, "resnet18")
    assert last == (
        "ResNet18 finds 85 of 100 COVID-19 images. With their middle pasted into images without COVID-19 it finds 12, "
        "into those of other COVID-19 patients 80."
    )
    assert list(verdict(found(external()), "alexnet")) == []
    twice = list(verdict(found(external(), external("farther")), "resnet18"))
    assert len([sentence for sentence in twice if sentence.startswith("On test images of its own")]) == 1
