import pytest

from deepcovid.settings import validate

DELETED = object()


def changed(values, path, value):
    """Return `values` with `value` at the slash-separated `path`, or without that key."""
    *parents, last = path.split("/")
    node = values
    for key in parents:
        node = node[key]
    if value is DELETED:
        del node[last]
    else:
        node[last] = value
    return values


def test_the_repositorys_own_parameters_are_valid(params):
    settings = validate(params, "params.yaml")
    assert settings.model_dump() == params


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("colour", 1, "no such key; known are datasets, test_sets, models"),
        ("dataset/phantom/split/startegy", "patient", "no such key; known are strategy, seed"),
        ("dataset/phantom/source/colour", 1, "no such key; known are kind, seed, height"),
        ("dataset/phantom/source/phantom", 1, "no such key; known are kind, seed, height"),
        ("recipe/paper/optimiser/momentum", 0.9, "no such key; known are kind (got 0.9)"),
        ("recipe/released-code/optimiser/speed", 0.9, "no such key; known are kind, momentum (got 0.9)"),
        ("recipe/paper/learning_rate", float("inf"), "finite number"),
        ("dataset/phantom/filter/views", "AP", "'all' or Input should be a valid list (got 'AP')"),
        ("evaluate", DELETED, "required"),
        ("dataset/phantom/split/covid/train", DELETED, "required"),
        ("dataset/phantom/source/seed", DELETED, "required"),
        ("recipe/paper/learning_rate", DELETED, "required"),
        ("recipe/released-code/schedule/gamma", DELETED, "required"),
        ("features/batch_size", 0, "greater than or equal to 1 (got 0)"),
        ("dataset/phantom/source/seed", -1, "greater than or equal to 0 (got -1)"),
        ("dataset/phantom/source/patients/covid", -1, "greater than or equal to 0 (got -1)"),
        ("dataset/phantom/max_quarantined_share", 1.5, "less than or equal to 1 (got 1.5)"),
        ("recipe/paper/learning_rate", -1.0, "greater than 0 (got -1.0)"),
        ("recipe/released-code/schedule/gamma", 1.5, "less than or equal to 1 (got 1.5)"),
        ("evaluate/bootstrap_samples", 10, "greater than or equal to 100 (got 10)"),
        ("dataset/phantom/split/strategy", "both", "'published', 'image', 'patient' or 'test-only' (got 'both')"),
        ("features/batch_size", "32", "valid integer (got '32')"),
        ("features/batch_size", 1.5, "valid integer (got 1.5)"),
        ("features/batch_size", None, "valid integer"),
        ("recipe/paper/augmented", 1, "valid boolean (got 1)"),
        ("recipe/released-code/optimiser/momentum", "high", "valid number (got 'high')"),
        ("recipe/paper", None, "valid dictionary"),
        ("dataset/phantom/seeds", [1], "at least 2 items"),
        ("dataset/phantom/seeds", [3, 4, 3], "each value may be named once, got [3, 4, 3]"),
        ("models", ["resnet18", "resnet18"], "each value may be named once"),
        ("dataset/phantom/source/views", {"AP": 0.5, "Oblique": 0.5}, "'AP', 'PA', 'L' or 'Axial' (got 'Oblique')"),
        ("dataset/phantom/source/kind", "mystery", "'phantom', 'covid-xray-5k', 'cohen-chexpert', 'cohen', 'folder'"),
        ("recipe/paper/optimiser/kind", "lion", "'adam', 'sgd'"),
        ("recipe/paper/schedule/kind", "cosine", "'constant', 'step'"),
    ],
)
def test_a_wrong_value_is_named_by_its_path_as_the_file_has_it(params, refused, path, value, allowed):
    keys = path.removesuffix("/kind").replace("/", ".")
    if path.endswith("source/views"):
        keys += ".Oblique"
    with refused(f"params.yaml: {keys}: ", allowed):
        validate(changed(params, path, value), "params.yaml")


def test_an_item_of_a_list_is_named_by_its_place(params, refused):
    with refused("params.yaml: dataset.phantom.seeds.1: ", "valid integer (got 'one')"):
        validate(changed(params, "dataset/phantom/seeds", [0, "one"]), "params.yaml")


def test_a_wrong_item_where_a_word_would_do_too_is_named_by_its_place(params, refused):
    with refused("params.yaml: dataset.phantom.filter.views.1: ", "valid string (got 3)"):
        validate(changed(params, "dataset/phantom/filter/views", ["AP", 3]), "params.yaml")


def test_shares_of_views_must_sum_to_one(params, refused):
    with refused("params.yaml: dataset.phantom.source: ", "views", "sum to 1", "0.5"):
        validate(changed(params, "dataset/phantom/source/views", {"AP": 0.5}), "params.yaml")


@pytest.mark.parametrize(
    ("key", "known"), [("datasets", "phantom, covid-xray-5k"), ("models", "resnet18"), ("recipes", "released-code")]
)
def test_a_name_that_is_nowhere_defined_is_refused_with_those_that_are(params, refused, key, known):
    with refused(f"params.yaml: {key} names mystery; known are ", known):
        validate(changed(params, key, [params[key][0], "mystery"]), "params.yaml")


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("test_sets", ["phantom"], ["test_sets names phantom, which datasets names too"]),
        ("test_sets", ["cohen", "cohen"], ["each value may be named once"]),
        ("test_sets", ["mystery"], ["test_sets names mystery; known are phantom"]),
        ("test_sets", ["covid-xray-5k"], ["only a part are test images", "dataset.covid-xray-5k.split.strategy"]),
        ("datasets", ["folder"], ["datasets names folder, which has no training images", "dataset.folder.split"]),
        (
            "audited_models",
            ["densenet161"],
            ["audited_models names densenet161, which models does not", "one of resnet18"],
        ),
        ("audit/recipe", "released-readme", ["audit.recipe names released-readme, which recipes does not"]),
        ("audit/hidden_share", 0.7, ["audit.hidden_share is 0.7", "dataset.phantom.hiding.hidden does not name"]),
        ("dataset/phantom/hiding/hidden", [], ["dataset.phantom.hiding.hidden: ", "at least 1 item"]),
        ("dataset/phantom/hiding/visible", [1.0], ["dataset.phantom.hiding.visible.0: ", "less than 1"]),
    ],
)
def test_test_sets_and_audits_that_cannot_be_run_are_refused(params, refused, path, value, parts):
    with refused("params.yaml: ", *parts):
        validate(changed(params, path, value), "params.yaml")


@pytest.mark.parametrize(
    ("path", "value"), [("test_sets", ["cohen", "folder"]), ("dataset/phantom/hiding/visible", [])]
)
def test_several_test_sets_and_no_visible_square_are_valid(params, path, value):
    validate(changed(params, path, value), "params.yaml")


def test_further_problems_are_counted(params, refused):
    changed(params, "features/batch_size", 0)
    with refused("; and 1 more"):
        validate(changed(params, "features/precision", "fp8"), "params.yaml")


@pytest.mark.parametrize("values", [None, [], "text"])
def test_a_file_that_is_no_mapping_is_refused(refused, values):
    with refused("params.yaml: ", "valid dictionary"):
        validate(values, "params.yaml")
