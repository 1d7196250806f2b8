import pytest
from dvc.utils.hydra import apply_overrides

from deepcovid.errors import UserError, describe
from deepcovid.nets.zoo import NETS
from deepcovid.schema import read_yaml
from tests.checkouts import ROOT, parameters, settings_of

DELETED = object()
LISTS = ("test_sets", "datasets", "models", "recipes", "replayed_models", "replays", "audited_models",
         "heatmapped_models", "dialled")  # fmt: skip


def changed(values, path, value):
    """Return `values` with `value` at the slash-separated `path`, or without that key."""
    *parents, last = path.split("/")
    node = values
    for key in parents:
        node = node.setdefault(key, {})
    if value is DELETED:
        del node[last]
    else:
        node[last] = value
    return values


def merged(shared, own):
    """Return `own` with what it does not say taken from `shared`, table by table."""
    if not isinstance(shared, dict) or not isinstance(own, dict):
        return own
    return {key: merged(shared.get(key), own.get(key, shared.get(key))) for key in {**shared, **own}}


def test_the_repositorys_own_parameters_are_valid_and_spelled_out(params):
    settings = settings_of(params).model_dump()
    for blocks, fewest in ((params["recipe"], 4), (params["dataset"], 2)):
        likes = {name: block.pop("like") for name, block in blocks.items() if "like" in block}
        for name, like in likes.items():
            blocks[name] = merged(blocks[like], blocks[name])
        assert len(likes) >= fewest
    shared = params.pop("defaults")
    for name, own in params["dataset"].items():
        params["dataset"][name] = merged(shared, own)
    assert settings == params


def test_the_kind_of_a_schedule_is_enough_to_make_it_constant(params):
    """As `dvc exp run -S recipe.failed-reproduction.schedule.kind=constant` does, which leaves the steps standing."""
    params["recipe"]["failed-reproduction"]["schedule"]["kind"] = "constant"
    schedule = settings_of(params).recipe["failed-reproduction"].schedule
    assert schedule.model_dump() == {"kind": "constant"}
    params["recipe"]["failed-reproduction"]["schedule"]["warmup"] = 3
    with pytest.raises(UserError, match="warmup"):
        settings_of(params)


@pytest.mark.parametrize(
    ("path", "value", "allowed"),
    [
        ("colour", 1, "no such key; known are features, recipe, ladder"),
        ("dataset/phantom/split/startegy", "patient", "no such key; known are strategy, seed"),
        ("dataset/phantom/source/colour", 1, "no such key; known are kind, seed, height"),
        ("dataset/phantom/source/phantom", 1, "no such key; known are kind, seed, height"),
        ("recipe/paper/optimiser/momentum", 0.9, "no such key; known are kind (got 0.9)"),
        ("recipe/released-code/optimiser/speed", 0.9, "no such key; known are kind, momentum (got 0.9)"),
        ("recipe/paper/learning_rate", float("inf"), "finite number"),
        ("dataset/phantom/filter/views", "AP", "'all' or Input should be a valid list (got 'AP')"),
        ("evaluate", DELETED, "required"),
        ("dataset/phantom/augment/copies", 0, "greater than 0 (got 0)"),
        ("dataset/phantom/split/non/train", "many", "valid integer (got 'many')"),
        ("dataset/phantom/source/seed", DELETED, "required"),
        ("recipe/paper/learning_rate", DELETED, "required"),
        ("recipe/released-code/schedule/gamma", DELETED, "required"),
        ("features/batch_size", 0, "greater than or equal to 1 (got 0)"),
        ("dataset/phantom/source/seed", -1, "greater than or equal to 0 (got -1)"),
        ("dataset/phantom/source/images/train/covid", -1, "greater than or equal to 0 (got -1)"),
        ("dataset/phantom/image_size", 100, "multiple of 16 (got 100)"),
        ("dataset/phantom/image_size", 48, "greater than or equal to 64 (got 48)"),
        ("dataset/phantom/image_size", 528, "less than or equal to 512 (got 528)"),
        ("dataset/phantom/image_size", "96", "valid integer (got '96')"),
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
        ("dataset/phantom/seeds", [1], "write 2 to 1000 seeds"),
        ("dataset/phantom/seeds", [], "write 2 to 1000 seeds"),
        ("dataset/phantom/resplits", [1], "write 2 to 1000 seeds, as a number or as a list, or 0 for none"),
        ("dataset/phantom/resplits", -1, "write 2 to 1000 seeds"),
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
        settings_of(changed(params, path, value))


def test_an_item_of_a_list_is_named_by_its_place(params, refused):
    with refused("params.yaml: dataset.phantom.seeds.1: ", "valid integer (got 'one')"):
        settings_of(changed(params, "dataset/phantom/seeds", [0, "one"]))


def test_a_wrong_item_where_a_word_would_do_too_is_named_by_its_place(params, refused):
    with refused("params.yaml: dataset.phantom.filter.views.1: ", "valid string (got 3)"):
        settings_of(changed(params, "dataset/phantom/filter/views", ["AP", 3]))


def test_shares_of_views_must_sum_to_one(params, refused):
    with refused("params.yaml: dataset.phantom.source: ", "views", "sum to 1", "0.5"):
        settings_of(changed(params, "dataset/phantom/source/views", {"AP": 0.5}))


@pytest.mark.parametrize(
    ("key", "known"),
    [
        ("datasets", "phantom, phantom-external, phantom-whole, phantom-equal, covid-xray-5k"),
        ("models", "resnet18"),
        ("recipes", "released-code"),
    ],
)
def test_a_name_that_is_nowhere_defined_is_refused_with_those_that_are(params, refused, key, known):
    with refused(f"params.yaml: {key} names mystery; known are ", known):
        settings_of(changed(params, key, [params[key][0], "mystery"]))


@pytest.mark.parametrize("key", [*LISTS, "dataset", "recipe"])
def test_a_name_that_a_shell_or_a_path_could_take_for_something_else_is_refused(params, key):
    own = params[key]
    for name in ("resnet18$(touch X)", "a'b", "a b", "a/b", "../a", "a;b", "-a", "a\n", "", "A", "é"):
        named = own | {name: {"like": next(iter(own))}} if isinstance(own, dict) else [*own, name]
        with pytest.raises(UserError) as caught:
            settings_of(params | {key: named})
        message = describe(caught.value)
        assert message.startswith(f"params.yaml: {key}.")
        assert "match pattern '^[a-z0-9][a-z0-9_-]*$'" in message
        assert "\n" not in message


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("test_sets", ["phantom"], ["test_sets names phantom, which datasets names too"]),
        ("test_sets", ["cohen", "cohen"], ["each value may be named once"]),
        ("test_sets", ["mystery"], ["test_sets names mystery; known are phantom"]),
        ("test_sets", ["covid-xray-5k"], ["only a part are test images", "dataset.covid-xray-5k.split.strategy"]),
        ("datasets", ["folder"], ["datasets names folder, which has no training images", "dataset.folder.split"]),
        ("dialled", ["cohen"], ["dialled names cohen, which has no training images"]),
        ("dials/images", "mystery", ["dials.images names mystery; known are phantom"]),
        ("ladder/remedies", {"crop": True}, ["ladder.remedies names crop; known are optimiser"]),
        ("ladder/remedies", {"random_crop": True}, ["ladder.remedies sets a switch that needs the whole net"]),
        ("ladder/remedies", {"sampling": "fair"}, ["ladder.remedies.sampling: ", "'natural' or 'balanced'"]),
        ("defaults/resplits", [3, 3], ["resplits: ", "each value may be named once"]),
        ("audited_models", ["mystery"], ["audited_models names mystery; known are resnet18"]),
        ("audit/recipe", "released-readme", ["audit.recipe names released-readme, which recipes does not"]),
        ("audit/hidden_share", 0.7, ["audit.hidden_share is 0.7", "dataset.phantom.hiding.hidden does not name"]),
        ("dataset/phantom/hiding/hidden", [], ["audit.hidden_share is 0.75", "dataset.phantom.hiding.hidden does not"]),
        ("dataset/phantom/hiding/visible", [1.0], ["dataset.phantom.hiding.visible.0: ", "less than 1"]),
    ],
)
def test_test_sets_and_audits_that_cannot_be_run_are_refused(params, refused, path, value, parts):
    with refused("params.yaml: ", *parts):
        settings_of(changed(params, path, value))


@pytest.mark.parametrize(
    ("path", "value"), [("test_sets", ["cohen", "folder"]), ("dataset/phantom/hiding/visible", [])]
)
def test_several_test_sets_and_no_visible_square_are_valid(params, path, value):
    settings_of(changed(params, path, value))


def test_further_problems_are_counted(params, refused):
    changed(params, "features/batch_size", 0)
    with refused("; and 1 more"):
        settings_of(changed(params, "features/precision", "fp8"))


@pytest.mark.parametrize("values", [None, [], "text"])
def test_a_file_that_holds_no_table_is_refused(refused, values):
    with refused("params.yaml: empty, or no table of keys"):
        settings_of(values)


@pytest.mark.parametrize("values", [{}, {"dataset": ["phantom"]}, {"defaults": {}}, {"dataset": {}}])
def test_a_file_without_a_table_of_data_sets_is_refused(refused, values):
    with refused("params.yaml: dataset: a table of data sets is needed"):
        settings_of(values)


@pytest.mark.parametrize("value", [DELETED, None, [], "text"])
def test_defaults_that_are_no_table_are_refused(params, refused, value):
    with refused("params.yaml: defaults: a table is needed"):
        settings_of(changed(params, "defaults", value))


def test_a_data_set_that_is_no_table_is_refused(params, refused):
    with refused("params.yaml: dataset.cohen: a table is needed"):
        settings_of(changed(params, "dataset/cohen", None))


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("colour", 1, ["no such key; known are source, filter, split"]),
        ("augment/colour", 1, ["no such key; known are source, copies"]),
        ("augment/copies", -1, ["greater than 0 (got -1)"]),
        ("image_size", 100, ["multiple of 16 (got 100)"]),
        ("filter/views", "AP", ["'all' or Input should be a valid list (got 'AP')"]),
        ("hiding/hidden", [0.75, 0.75], ["each value may be named once"]),
        ("hiding/hidden", [0.75, 1.5], ["less than 1 (got 1.5)"]),
    ],
)
def test_a_wrong_default_is_named_where_it_stands(params, refused, path, value, parts):
    with refused(f"params.yaml: defaults.{path.replace('/', '.')}", *parts):
        settings_of(changed(params, f"defaults/{path}", value))


def test_a_window_larger_than_the_data_sets_image_is_refused(params, refused):
    changed(params, "dataset/cohen/heatmaps", {"window": 96})
    found = settings_of(changed(params, "dataset/cohen/image_size", 96))
    assert (found.dataset["cohen"].image_size, found.dataset["folder"].image_size) == (96, 224)
    with refused("params.yaml: dataset.cohen: heatmaps.window is 96 pixels, more than the image_size of 80", "lower"):
        settings_of(changed(params, "dataset/cohen/image_size", 80))


def test_a_data_set_is_not_taken_for_one_whose_name_begins_alike(params, refused):
    with refused("params.yaml: dataset.phantom: heatmaps.window is 81 pixels"):
        settings_of(changed(params, "dataset/phantom/heatmaps/window", 81))


def test_a_default_that_is_missing_is_named_in_the_data_set_that_lacks_it(params, refused):
    with refused("params.yaml: dataset.phantom.split.covid.train: ", "required"):
        settings_of(changed(params, "defaults/split/covid/train", DELETED))


def test_a_default_that_no_data_set_uses_is_refused(params, refused):
    for dataset in params["dataset"].values():
        dataset.setdefault("augment", {})["copies"] = 2
    with refused("params.yaml: defaults.augment.copies: every data set sets its own", "remove it"):
        settings_of(params)
    del params["dataset"]["cohen"]["augment"]["copies"]
    settings_of(params)


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("augment", 4, ["dataset.phantom.augment: a single value", "where defaults.augment is a table"]),
        ("augment", None, ["dataset.phantom.augment: a single value", "defaults.augment is a table"]),
        (
            "split/covid",
            [84, 100],
            ["dataset.phantom.split.covid: a single value or a list", "defaults.split.covid is a table"],
        ),
        (
            "augment/copies",
            {"train": 4},
            ["augment.copies: a table, where defaults.augment.copies is a single value or a list"],
        ),
        ("seeds", {"first": 0}, ["dataset.phantom.seeds: a table", "defaults.seeds is a single value or a list"]),
    ],
)
def test_a_block_that_overrides_a_table_with_a_value_or_a_value_with_a_table_is_refused(
    params, refused, path, value, parts
):
    with refused("params.yaml: ", *parts, "write it as there"):
        settings_of(changed(params, f"dataset/phantom/{path}", value))


def test_a_recipe_is_like_another_but_for_what_it_says(params):
    params["recipe"]["near"] = {"like": "released-code-replayed-at-half", "batch_size": 7}
    whole = settings_of(params).recipe
    expected = whole["released-code"].model_copy(
        update={"random_crop": True, "batch_norm": "training", "cut_off": 0.5, "batch_size": 7}
    )
    assert whole["near"] == expected


@pytest.mark.parametrize("like", ["mystery", "released-readme", 3, None, ["paper"]])
def test_a_recipe_is_like_another_that_is_there_and_not_itself(params, refused, like):
    with refused("params.yaml: recipe.released-readme.like: ", repr(like), "no other block; known are paper"):
        settings_of(changed(params, "recipe/released-readme/like", like))


def test_recipes_that_are_like_each_other_are_refused(params, refused):
    params["recipe"]["one"], params["recipe"]["other"] = {"like": "other"}, {"like": "one", "epochs": 3}
    with refused("params.yaml: recipe.other.like: 'one' is no other block; known are paper"):
        settings_of(params)


def test_a_data_set_is_like_another_but_for_what_it_says(params):
    params["dataset"]["near"] = {"like": "phantom-equal", "source": {"seed": 7}, "seeds": 4}
    whole = settings_of(params).dataset
    source = whole["phantom"].source.model_copy(update={"shortcut": 0.0, "seed": 7})
    assert whole["near"] == whole["phantom"].model_copy(update={"source": source, "seeds": [0, 1, 2, 3]})


@pytest.mark.parametrize("like", ["mystery", "phantom-equal", 3, None, ["phantom"]])
def test_a_data_set_is_like_another_that_is_there_and_not_itself(params, refused, like):
    with refused("params.yaml: dataset.phantom-equal.like: ", repr(like), "no other block; known are phantom,"):
        settings_of(changed(params, "dataset/phantom-equal/like", like))


def test_data_sets_that_are_like_each_other_are_refused(params, refused):
    params["dataset"]["phantom"]["like"] = "phantom-equal"
    with refused("params.yaml: dataset.phantom-equal.like: 'phantom' is no other block; known are phantom-external,"):
        settings_of(params)


def test_a_wrong_value_that_is_taken_from_another_data_set_is_named_there(params, refused):
    whole = {name: params["dataset"][name] for name in ("phantom-equal", "phantom")}
    params["dataset"] = whole | params["dataset"]  # the one that is like it comes first
    with refused("params.yaml: dataset.phantom.source.lesion: ", "less than or equal to 1 (got 2)"):
        settings_of(changed(params, "dataset/phantom/source/lesion", 2))


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        ("lesion", -0.1, [".lesion: ", "greater than or equal to 0 (got -0.1)"]),
        ("lesion", 1.1, [".lesion: ", "less than or equal to 1 (got 1.1)"]),
        ("shortcut", -0.5, [".shortcut: ", "greater than or equal to 0 (got -0.5)"]),
        ("shortcut", 2.5, [".shortcut: ", "less than or equal to 2 (got 2.5)"]),
        ("shortcut", float("nan"), [".shortcut: ", "(got nan)"]),
        ("images/test/normal", 100_001, [".images.test.normal: ", "less than or equal to 100000 (got 100001)"]),
        ("images/test/normal", 1.5, [".images.test.normal: ", "valid integer (got 1.5)"]),
        ("images/train/covid", 0, [".images: ", "train has 0 images with covid and 2000 without", "or none of either"]),
        ("images/train", {"covid": 1, "normal": 0, "other": 0}, [".images: ", "train has 1 images with covid and 0"]),
        ("images/test/covid", 0, [".images: ", "test has 0 images with covid and 3000 without; both classes"]),
        ("images/test", {"covid": 0, "normal": 0, "other": 0}, [".images: ", "test has 0 images with covid and 0"]),
        ("collections/other", DELETED, [": ", "collections: other has none; name A or B"]),
        ("collections/other", "C", [".collections.other: ", "'A' or 'B' (got 'C')"]),
        ("views", {"PA": 0.5, "L": 0.5}, [": ", "a share of at least 0.1 must be AP, the view that is counted"]),
        ("views", {"AP": 0.05, "PA": 0.95}, [": ", "a share of at least 0.1 must be AP"]),
    ],
)
def test_phantoms_that_cannot_be_drawn_are_refused(params, refused, path, value, parts):
    with refused(f"params.yaml: dataset.phantom.source{parts[0]}", *parts[1:]):
        settings_of(changed(params, f"dataset/phantom/source/{path}", value))


@pytest.mark.parametrize(("source", "seed"), [("random", None), ("imagenet", 0), ("weights", 0)])
def test_nets_of_random_weights_have_no_pass_without_training(params, source, seed):
    settings = settings_of(changed(params, "dataset/phantom/weights", {"source": source}))
    passes = settings.parameters("phantom", NETS).audit_passes
    assert [own.untrained_seed for own in passes.values() if own is not None] == [seed]


@pytest.mark.parametrize("seeds", [2, 5])
def test_seeds_may_be_their_number(params, seeds):
    whole = settings_of(changed(params, "dataset/phantom/seeds", seeds)).dataset["phantom"]
    assert whole.seeds == list(range(seeds))
    assert whole == settings_of(changed(params, "dataset/phantom/seeds", list(range(seeds)))).dataset["phantom"]


@pytest.mark.parametrize("seeds", [0, []])
def test_other_splits_may_be_left_out(params, seeds):
    assert any(settings_of(params).parameters("phantom", NETS).on_other_splits.values())
    settings = settings_of(changed(params, "dataset/phantom/resplits", seeds))
    assert settings.dataset["phantom"].resplits == []
    assert not any(settings.parameters("phantom", NETS).on_other_splits.values())


@pytest.mark.parametrize(
    ("seeds", "part"),
    [
        *((seeds, "2 to 1000 seeds") for seeds in (1, 0, -2, 1001, 10**9, 10**30)),
        (True, "valid list"),
    ],
)
def test_a_number_of_seeds_that_cannot_be_is_refused(params, refused, seeds, part):
    with refused("params.yaml: dataset.phantom.seeds: ", part):
        settings_of(changed(params, "dataset/phantom/seeds", seeds))


def test_two_data_sets_of_one_name_are_refused(tmp_path, refused):
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text()
    path.write_text(text.replace("  cohen: ", "  phantom: ", 1))
    assert path.read_text() != text
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    message = describe(caught.value)
    assert message.startswith(f"{path}: not valid YAML: ")
    assert 'duplicate key "phantom"' in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("key", "value", "other"),
    [
        ("recipe.paper.epochs", "100", "99"),
        ("recipe.released-code.optimiser.momentum", "0.9", "0.8"),
        ("recipe.failed-reproduction.augmented", "false", "true"),
        ("defaults.seeds", "10", "11"),
        ("defaults.image_size", "224", "96"),
        ("defaults.heatmaps.images.sample", "12", "13"),
        ("defaults.hiding.visible", "[0.1,0.25,0.5,0.75]", "[0.1,0.25,0.5,0.85]"),
        ("defaults.split.non.train", "2000", "2001"),
        ("dataset.phantom.source.seed", "2020", "2021"),
        ("dataset.phantom.source.images.train.covid", "84", "85"),
        ("dataset.phantom.source.lesion", "0.35", "0.0"),
        ("dataset.phantom-equal.source.shortcut", "0.0", "0.5"),
        ("dataset.folder.source.images", "''", "/images"),
        ("audit.calibration_bins", "10", "12"),
        ("features.device", "auto", "cpu"),
    ],
)
def test_dvc_writes_one_value_into_one_line_and_an_unchanged_one_into_none(tmp_path, key, value, other):
    path, text = tmp_path / "params.yaml", (ROOT / "params.yaml").read_text()
    path.write_text(text)
    apply_overrides(path, [f"{key}={value}"])
    assert path.read_text() == text
    apply_overrides(path, [f"{key}={other}"])
    before, after = text.splitlines(), path.read_text().splitlines()
    assert len(before) == len(after)
    assert sum(one != two for one, two in zip(before, after, strict=True)) == 1
    settings_of(read_yaml(path))


@pytest.mark.parametrize("name", ["test_sets", "recipes", "replays", "audited_models", "heatmapped_models", "dialled"])
@pytest.mark.parametrize("value", ["[]", "[one]", "[one,two]"])
def test_dvc_gives_a_list_other_items_and_leaves_yaml(tmp_path, name, value):
    """A comment behind the name of a list would be torn from it, with an empty list in its place."""
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    apply_overrides(path, [f"{name}={value}"])
    assert read_yaml(path)[name] == [item for item in value.strip("[]").split(",") if item]


def test_dvc_gives_a_data_set_a_value_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, text = tmp_path / "params.yaml", (ROOT / "params.yaml").read_text()
    path.write_text(text)
    apply_overrides(path, ["+dataset.phantom.replay.epochs=2"])
    assert set(path.read_text().splitlines()) - set(text.splitlines()) == {"    replay:", "      epochs: 2"}
    assert parameters().replay.epochs == 2
    assert parameters("cohen").replay.epochs == 21


@pytest.mark.parametrize("name", ["audits", "contact_sheets"])
def test_a_data_set_may_not_be_named_as_a_folder_of_the_pipeline(params, refused, name):
    with refused(f"params.yaml: dataset.{name}: the pipeline has a folder of that name"):
        settings_of(changed(params, f"dataset/{name}", params["dataset"]["cohen"]))


def test_what_is_nested_in_itself_is_refused(params, refused):
    params["defaults"]["foo"] = params["defaults"]
    with refused("params.yaml: nested too deep, or in itself"):
        settings_of(params)
