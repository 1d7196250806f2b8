"""What a reviewer asks for: who the images are of, and what the median head reaches in parts of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from deepcovid import catalogue
from deepcovid.heads.card import REAL, SYNTHETIC, model_card
from deepcovid.heads.sides import sides
from deepcovid.report.review import boxes_of
from deepcovid.settings.analyses import EvaluateSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.statistics.bootstrap import FEWEST_PATIENTS, Bootstrap
from deepcovid.statistics.review import UNKNOWN, groups_of, prior, review, who
from tests.trained import PAPER, random_head

SETTINGS = EvaluateSettings(bootstrap_samples=300, bootstrap_seed=1)
RECIPE = Recipe.model_validate(PAPER)


def table_of(covid=60, others=140, seed=0):
    rng = np.random.default_rng(seed)
    count = covid + others
    rows = pd.DataFrame({"image_id": [f"image {number}" for number in range(count)]})
    rows["label"] = np.repeat(["covid", "non"], [covid, others])
    rows["patient_id"] = [f"{label} {rng.integers(40)}" for label in rows["label"]]
    rows["sex"], rows["age"] = (
        rng.choice(["F", "M", ""], count),
        rng.choice(["25", "55.5", "81", "", "about 40"], count),
    )
    rows["view"] = rng.choice(["AP", "AP Supine", "PA"], count)
    rows["finding"] = np.where(rows["label"] == "covid", "COVID-19", rng.choice(["No Finding", "Edema"], count))
    rows["split"] = "test"
    return rows.reindex(columns=[*catalogue.COLUMNS, "split"], fill_value="")


def reviewed(rows, scores):
    bootstrap = Bootstrap.of(rows, SETTINGS)
    return review(rows, scores, ("paper", RECIPE), 0.2, bootstrap, {"test": rows})


def test_table_one_counts_what_the_catalogue_says():
    rows = table_of()
    found = who({"test": rows, "train": rows[:60]})
    assert list(found) == ["test, COVID-19", "test, others", "train, COVID-19"]
    own, covid = found["test, COVID-19"], rows[rows["label"] == "covid"]
    assert (own.images, own.patients) == (60, covid["patient_id"].nunique())
    ages = pd.to_numeric(covid["age"], errors="coerce").dropna()
    assert own.age.known == len(ages)
    assert own.age.quartiles == pytest.approx(np.percentile(ages, [25, 50, 75]))
    assert own.sex == {**{sex: (covid["sex"] == sex).sum() for sex in "FM"}, UNKNOWN: (covid["sex"] == "").sum()}
    assert list(own.sex)[-1] == UNKNOWN
    assert list(own.view.values()) == sorted(own.view.values(), reverse=True)
    nothing = who({"test": rows.assign(age="", sex="")})["test, others"]
    assert nothing.age.quartiles is None
    assert nothing.sex == {UNKNOWN: 140}


def test_subgroups_of_a_property_hold_every_image_once():
    groups = groups_of(table_of())
    for name in ("age", "sex", "view", "finding"):
        assert (
            sum(own.astype(int) for group, own in groups.items() if group.startswith(f"{name}: ")).tolist() == [1] * 200
        )
    assert {group for group in groups if group.startswith("view")} == {"view: AP", "view: PA"}  # supine is AP


def test_each_subgroup_has_the_numbers_of_its_own_images():
    rows = table_of()
    rng = np.random.default_rng(5)
    score = np.clip(rng.random(200) + 0.3 * (rows["label"] == "covid"), 0, 1).to_numpy()
    found = reviewed(rows, {"resnet18": score}).nets["resnet18"].subgroups
    covid = (rows["label"] == "covid").to_numpy()
    for name, group in groups_of(rows).items():
        own = found[name]
        assert (own.covid, own.others) == ((group & covid).sum(), (group & ~covid).sum())
        for side, rate, right in (
            (covid, own.sensitivity, score >= RECIPE.cut_off),
            (~covid, own.specificity, score < RECIPE.cut_off),
        ):
            if not (group & side).any():
                assert rate is None
                continue
            patients = rows["patient_id"][group & side].nunique()
            value = right[group & side].mean()
            assert (rate.value if patients >= FEWEST_PATIENTS else rate) == pytest.approx(value, abs=1e-6)
            if patients >= FEWEST_PATIENTS:
                assert rate.low <= value <= rate.high
        if own.auc:
            assert own.auc.value == pytest.approx(roc_auc_score(covid[group], score[group]), abs=1e-6)
            assert own.auc.low < own.auc.value < own.auc.high
    assert found["sex: F"].auc
    assert found["finding: Edema"].auc is None


def test_a_few_images_are_told_without_intervals():
    rows = table_of(covid=3, others=4)
    found = reviewed(rows, {"resnet18": np.linspace(1, 0, 7)}).nets["resnet18"].subgroups
    assert all(own.auc is None for own in found.values())
    assert isinstance(found["finding: COVID-19"].sensitivity, float)


def test_a_head_that_calls_nobody_covid_has_no_positive_predictive_value():
    rows = table_of()
    own = reviewed(rows, {"resnet18": np.linspace(0.1, 0.2, 200)}).nets["resnet18"]
    for prevalence, values in own.predictive.items():
        assert values.positive is None
        assert values.negative.value == pytest.approx(1 - float(prevalence))
    assert own.benefit["0.5"].head.value == 0
    assert own.benefit["0.5"].everybody == pytest.approx(0.3 - 0.7)


def test_scores_that_are_probabilities_need_no_recalibration_once_the_prior_is_theirs():
    rows = table_of(covid=600, others=1400, seed=3)
    rng = np.random.default_rng(0)
    odds = rng.normal(np.where(rows["label"] == "covid", 1.0, -1.0), np.sqrt(2))  # log-odds 2 x at equal priors
    score = 1 / (1 + np.exp(-(odds + np.log(0.2 / 0.8))))  # trained at a prior of 0.2
    own = reviewed(rows, {"resnet18": score}).nets["resnet18"].recalibration
    assert own.tested == 0.3
    assert own.intercept.low < 0 < own.intercept.high
    assert own.slope.low < 1 < own.slope.high


def test_the_prior_counts_copies_and_resampling():
    rows = table_of().assign(split="train")
    copies = rows[:60].assign(image_id=rows["image_id"] + "+", augmentation_of=rows["image_id"])
    table = pd.concat([rows, copies], ignore_index=True)
    assert prior(table, RECIPE.model_copy(update={"augmented": False})) == 0.3
    assert prior(table, RECIPE.model_copy(update={"augmented": True})) == pytest.approx(120 / 260)
    assert prior(table, RECIPE.model_copy(update={"sampling": "balanced"})) == 0.5


def test_the_prior_leaves_out_the_patients_that_are_set_apart():
    covid = [patient for patient in range(20) for _ in range(1 + 9 * (patient < 4))]  # some have ten images
    labels = ["covid"] * len(covid) + ["non"] * 100
    patients = [f"covid {number}" for number in covid] + [f"non {number}" for number in range(100)]
    names = [f"image {number}" for number in range(len(labels))]
    table = pd.DataFrame({"image_id": names, "label": labels, "patient_id": patients, "split": "train"})
    table["augmentation_of"] = ""
    apart = RECIPE.model_copy(update={"augmented": False, "selection_on": "validation"})
    own = sides(table, apart).train
    trained = table[own]
    assert prior(table, apart) == (trained["label"] == "covid").sum() / len(trained)
    assert prior(table, apart) != pytest.approx(len(covid) / len(table), abs=1e-3)


def test_the_boxes_of_the_flow_diagram_add_up():
    counts = {"covid": {"images": 84}, "non": {"images": 2000}}
    dropped = {"covid": {"images": 4}, "non": {"images": 1500}, "reason": {"modality": 0, "view": 1504}}
    split = {name: {"train": 40, "test": 30, "left_out": left} for name, left in (("covid", 14), ("non", 1930))}
    boxes = boxes_of(
        {
            "filter": {"kept": counts, "dropped": dropped},
            "split": split,
            "images": {"copies": 160, "quarantined": 2, "images": 300},
        }
    )
    assert boxes["listed"] == "listed\n88 COVID-19, 3,500 others"
    assert boxes["filtered"].endswith("1,504 for their view")
    assert "160 augmented copies" in boxes["train"]
    assert boxes["left"].endswith("14 COVID-19, 1,930 others")


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_model_card_says_what_the_head_is_and_that_it_is_not_for_patients(synthetic):
    rows = table_of().assign(split="train", source="a source", licence="CC BY")
    head = random_head()
    card = model_card(head, rows, {"auc": 0.91234, "sensitivity": 0.5, "specificity": 0.25}, synthetic=synthetic)
    assert "Research only, not for diagnosis" in card
    assert (SYNTHETIC in card) == synthetic == (REAL not in card)
    assert "| originals | 60 | 140 |" in card
    assert "- 200 images of a source; licence: CC BY" in card
    assert "AUC 0.912, sensitivity 0.500, specificity 0.250" in card
    for key, value in head.choices.model_dump().items():
        assert f"- {key}: {value}" in card
    assert head.weights_sha256 in card


def test_a_card_counts_only_the_images_that_the_heads_were_trained_on():
    rows = table_of().assign(split="train", source="a source", licence="CC BY")
    head = random_head()
    head = dataclasses.replace(head, choices=head.choices.model_copy(update={"selection_on": "validation"}))
    trained = rows[sides(rows, head.choices).train]
    covid = catalogue.covid(trained).sum()
    card = model_card(head, rows, {"auc": 0.9, "sensitivity": 0.5, "specificity": 0.2}, synthetic=True)
    assert 0 < len(trained) < len(rows)
    assert f"| originals | {covid} | {len(trained) - covid} |" in card
