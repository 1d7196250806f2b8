import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from torch import nn

from deepcovid.heads import training
from deepcovid.settings.recipes import Constant, Recipe, Step
from tests.trained import PAPER

RELEASED = PAPER | {
    "optimiser": {"kind": "sgd", "momentum": 0.9},
    "learning_rate": 0.05,
    "schedule": {"kind": "step", "size": 2, "gamma": 0.1, "stepped": "epoch-start"},
    "selection": "best-accuracy",
}


def data(images, seed):
    rng = np.random.default_rng(seed)
    labels = pd.Series(rng.choice(["covid", "non"], images, p=[0.3, 0.7]))
    features = rng.standard_normal((images, 8)) + 0.7 * (labels == "covid").to_numpy()[:, None]
    return training.Data.of(features.astype(np.float32), labels)


def alone(train, test, recipe, seed):
    """Train one head as a PyTorch user would: a linear layer, a loop, the library's own scheduler."""
    torch.manual_seed(seed)
    layer = nn.Linear(8, 2)
    rate = recipe.learning_rate
    if recipe.optimiser.kind == "adam":
        optimiser = torch.optim.Adam(layer.parameters(), lr=rate)
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimiser, factor=1)
    else:
        optimiser = torch.optim.SGD(layer.parameters(), lr=rate, momentum=recipe.optimiser.momentum)
        step = (
            recipe.schedule
            if recipe.schedule.kind == "step"
            else Step(kind="step", size=99, gamma=1.0, stepped="epoch-end")
        )
        scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step.size, step.gamma)
    generator = torch.Generator().manual_seed(seed)
    best, kept = -1.0, None
    number = len(train.classes)
    weights = (1 / torch.bincount(train.classes).double())[train.classes].tolist()
    balanced = torch.utils.data.WeightedRandomSampler(weights, number, generator=generator)
    for _ in range(recipe.epochs):
        scheduler.step()  # at the start of the epoch, as the released code does
        order = list(balanced) if recipe.sampling == "balanced" else torch.randperm(number, generator=generator)
        for batch in torch.as_tensor(order).split(recipe.batch_size):
            optimiser.zero_grad()
            nn.functional.cross_entropy(layer(train.features[batch]), train.classes[batch]).backward()
            optimiser.step()
        accuracy = (layer(test.features).argmax(1) == test.classes).float().mean().item()
        if accuracy > best or recipe.selection == "last-epoch":
            best, kept = max(best, accuracy), {name: value.clone() for name, value in layer.state_dict().items()}
    return kept


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("choices", [PAPER, RELEASED], ids=["paper", "released"])
def test_heads_trained_together_are_what_each_would_be_alone(choices):
    recipe = Recipe.model_validate(choices)
    train, test = data(130, 0), data(90, 1)
    others = [
        recipe.model_copy(update=change)
        for change in (
            {"learning_rate": 0.002},
            {"schedule": Constant(kind="constant")},
            {"epochs": 3},
            {"selection": "last-epoch"},
            {"sampling": "balanced"},
            {"sampling": "balanced", "learning_rate": 0.002},
        )
    ]
    together = training.train(train, test, [recipe, *others], [5, 0, 9])
    for choices, trained in zip([recipe, *others], together, strict=True):
        for index, seed in enumerate([5, 0, 9]):
            expected = alone(train, test, choices, seed)
            np.testing.assert_allclose(trained.weight[index].T, expected["weight"], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(trained.bias[index], expected["bias"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("covid", [3, 10])  # of 20, which are half of them
def test_balanced_sampling_draws_with_replacement_as_pytorchs_sampler_does(covid):
    classes = torch.tensor([0] * covid + [1] * (20 - covid))
    weights = (1 / torch.bincount(classes).double())[classes].tolist()
    first, second = (torch.Generator().manual_seed(5) for _ in range(2))
    wanted = list(torch.utils.data.WeightedRandomSampler(weights, 20, generator=first))
    assert training.drawn(classes, "balanced", second).tolist() == wanted
    assert len(set(wanted)) < 20


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("choices", [PAPER, RELEASED], ids=["paper", "released"])
def test_heads_may_look_at_rows_of_their_own(choices):
    recipe = Recipe.model_validate(choices)
    recipes = [recipe, recipe.changed({"sampling": "balanced"})]
    whole, rng = data(220, 0), np.random.default_rng(3)
    rows = torch.tensor(np.array([rng.permutation(220) for _ in range(3)]))
    train, test = (training.Data(whole.features, whole.classes, part) for part in (rows[:, :130], rows[:, 130:]))
    together = training.train(train, test, recipes, [4, 4, 7], logged=False)
    for own, trained in zip(recipes, together, strict=True):
        for index, seed in enumerate([4, 4, 7]):
            parts = [
                training.Data(whole.features[part.rows[index]], whole.classes[part.rows[index]])
                for part in (train, test)
            ]
            expected = alone(*parts, own, seed)
            np.testing.assert_allclose(trained.weight[index].T, expected["weight"], rtol=1e-4, atol=1e-6)


def test_selection_may_look_at_other_images_than_the_test():
    recipe = Recipe.model_validate(RELEASED)
    train, test, apart = data(130, 0), data(90, 1), data(40, 2)
    (trained,) = training.train(train, test, [recipe], [3, 8], selected_on=apart)
    (expected,) = training.train(train, apart, [recipe], [3, 8])
    (on_test,) = training.train(train, test, [recipe], [3, 8])
    assert np.array_equal(trained.weight, expected.weight)
    pd.testing.assert_frame_equal(trained.log, on_test.log)  # the log is of the test images


@pytest.mark.parametrize("epochs", [3, 30])
def test_heads_of_two_optimisers_share_batches_and_are_what_each_would_be_alone(epochs):
    recipes = [
        Recipe.model_validate(choices)
        for choices in (RELEASED | {"epochs": epochs}, PAPER, RELEASED | {"sampling": "balanced"})
    ]
    train, test = data(130, 0), data(90, 1)
    for recipe, together in zip(recipes, training.train(train, test, recipes, [5, 0]), strict=True):
        (alone,) = training.train(train, test, [recipe], [5, 0])
        np.testing.assert_allclose(together.weight, alone.weight, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(together.bias, alone.bias, rtol=1e-5, atol=1e-7)
        pd.testing.assert_frame_equal(together.log, alone.log, rtol=1e-4)


def test_heads_of_two_batch_sizes_are_not_trained_together():
    recipes = [Recipe.model_validate(PAPER | {"batch_size": size}) for size in (20, 10)]
    with pytest.raises(ValueError, match="one size"):
        training.train(data(20, 0), data(20, 1), recipes, [0])


def test_the_epoch_may_be_chosen_on_parts_of_the_test_too():
    recipes = [Recipe.model_validate(RELEASED), Recipe.model_validate(RELEASED | {"selection": "last-epoch"})]
    train, test = data(130, 0), data(90, 1)
    parts = [torch.arange(5, 40), torch.arange(40, 90)]
    trained, last = training.train(train, test, recipes, [3, 8], parts=parts)
    assert last.by_part == ()
    for (weight, bias), part in zip(trained.by_part, parts, strict=True):
        chosen_on = training.Data(test.features[part], test.classes[part])
        (expected,) = training.train(train, chosen_on, recipes[:1], [3, 8])
        assert np.array_equal(weight, expected.weight)
        assert np.array_equal(bias, expected.bias)


def test_training_repeats_to_the_bit_and_leaves_the_global_generator_alone():
    recipe = Recipe.model_validate(PAPER)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    (first,), (second,) = (training.train(data(60, 0), data(40, 1), [recipe], [1, 2]) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)
    assert torch.equal(state, torch.get_rng_state())
    assert not np.array_equal(first.weight[0], first.weight[1])


def test_the_log_has_a_row_per_seed_and_epoch_and_the_loss_falls():
    log = training.train(data(130, 0), data(90, 1), [Recipe.model_validate(PAPER)], [3, 4])[0].log
    assert list(log[["seed", "epoch"]].itertuples(index=False, name=None)) == [
        (seed, epoch) for seed in (3, 4) for epoch in range(1, 7)
    ]
    assert (log.groupby("seed")["loss"].last() < log.groupby("seed")["loss"].first()).all()
    assert log[["train_accuracy", "test_accuracy", "test_auc"]].stack().between(0, 1).all()


@pytest.mark.parametrize("seeds", [[0], [3, 8]])
@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
def test_epochs_that_are_left_out_would_have_changed_nothing(monkeypatch, momentum, seeds):
    choices = RELEASED | {"epochs": 60, "optimiser": {"kind": "sgd", "momentum": momentum}}
    recipes = [Recipe.model_validate(choices | {"selection": kept}) for kept in ("best-accuracy", "last-epoch")]
    taken, step = [0], training.Heads.step

    def counted(*arguments):
        taken[0] += 1
        step(*arguments)

    monkeypatch.setattr(training.Heads, "step", counted)
    short = training.train(data(130, 0), data(90, 1), recipes, seeds)
    steps, taken[0] = taken[0], 0
    monkeypatch.setattr(training.Heads, "settled", lambda *_: False)
    whole = training.train(data(130, 0), data(90, 1), recipes, seeds)
    assert 0.2 * taken[0] < steps < 0.7 * taken[0]
    for own, expected in zip(short, whole, strict=True):
        assert np.array_equal(own.weight, expected.weight)
        assert np.array_equal(own.bias, expected.bias)
        pd.testing.assert_frame_equal(own.log, expected.log)


def test_heads_whose_learning_rate_stays_are_trained_to_the_end(monkeypatch):
    answers, settled = [], training.Heads.settled
    monkeypatch.setattr(training.Heads, "settled", lambda *given: answers.append(settled(*given)) or answers[-1])
    for choices in (PAPER, RELEASED | {"schedule": {"kind": "constant"}}):
        training.train(data(130, 0), data(90, 1), [Recipe.model_validate(choices)], [0])
    assert answers == [False] * 2 * (PAPER["epochs"] - 1)


def test_a_learning_rate_that_moves_nothing_is_trained_for_an_epoch():
    recipe = Recipe.model_validate(RELEASED | {"learning_rate": 1e-20, "schedule": {"kind": "constant"}})
    (trained,) = training.train(data(130, 0), data(90, 1), [recipe], [3])
    np.testing.assert_allclose(trained.weight[0].T, untrained(seed=3), rtol=1e-6)
    assert trained.log["epoch"].tolist() == list(range(1, recipe.epochs + 1))


def test_the_log_is_in_the_order_of_the_seeds():
    (trained,) = training.train(data(130, 0), data(90, 1), [Recipe.model_validate(PAPER)], [5, 2])
    assert trained.log["seed"].unique().tolist() == [5, 2]


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=30))
def test_the_auc_of_the_log_is_scikit_learns(images):
    positive, margin = (np.array(values) for values in zip((True, 0), (False, 1), *images, strict=True))
    margins = torch.tensor(margin, dtype=torch.float32)[None, :, None]
    area = training.auc(margins, torch.tensor(positive, dtype=torch.bool))
    assert area.item() == pytest.approx(roc_auc_score(positive, margin), abs=1e-6)


def test_the_best_accuracy_of_the_log_is_the_kept_heads():
    recipe = Recipe.model_validate(RELEASED)
    test = data(90, 1)
    (trained,) = training.train(data(130, 0), test, [recipe], [3])
    kept = (test.features.numpy() @ trained.weight[0] + trained.bias[0]).argmax(1) == test.classes.numpy()
    assert kept.mean() == pytest.approx(trained.log["test_accuracy"].max())


def test_the_first_epoch_is_kept_even_if_every_epoch_gets_every_image_wrong():
    recipe = Recipe.model_validate(RELEASED)
    train = data(130, 0)
    wrong = training.Data(torch.full((4, 8), 3.0), torch.tensor([1, 1, 1, 1]))  # far on the covid side, labelled non
    (trained,) = training.train(train, wrong, [recipe], [3])
    (first,) = training.train(train, wrong, [recipe.model_copy(update={"epochs": 1})], [3])
    assert (trained.log["test_accuracy"] == 0).all()
    assert np.array_equal(trained.weight, first.weight)
    assert not np.array_equal(trained.weight[0], untrained(seed=3).T)


def untrained(seed):
    torch.manual_seed(seed)
    return nn.Linear(8, 2).weight.detach().numpy()
