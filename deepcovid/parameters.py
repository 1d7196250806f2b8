"""params.yaml as a whole: defaults merged into each data set, names checked, and what follows for one data set.

`Settings` is the file as its author wrote it, `Parameters` every value that one data set runs with.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Self

from pydantic import AfterValidator, ValidationError, ValidationInfo, model_validator

from deepcovid.errors import UserError
from deepcovid.schema import Strict, checked
from deepcovid.settings.analyses import (
    AuditSettings,
    DialSettings,
    EvaluateSettings,
    FeatureSettings,
    LadderSettings,
    Net,
    OutlierSettings,
    SharedHeatmapSettings,
)
from deepcovid.settings.datasets import DatasetSettings, HidingSettings
from deepcovid.settings.recipes import Recipe
from deepcovid.settings.types import Name, Names, Seed, distinct

SomeNames = Annotated[list[Name], AfterValidator(distinct)]
Values = dict[str, Any]


def main_of(models: Sequence[str]) -> str:
    """Return ResNet18, the net of the failed reproduction, or the first net where it was not run."""
    return "resnet18" if "resnet18" in models else models[0]


class AuditPasses(Strict):
    """Passes that an audited net makes over all images, apart from the pass for its features.

    Attributes:
        hiding: Squares that hide the middle, or all but the middle; a pass for each.
        untrained_seed: Seed of the random weights of one more pass; None where the net has random weights already.
    """

    hiding: HidingSettings
    untrained_seed: Seed | None


class NetParameters(Strict):
    """One net, as one data set runs it.

    Attributes:
        net: Its line in the zoo.
        runs: Whether `models` names it. A list of nets may name more, which are then passed over.
    """

    net: Net
    runs: bool


class RunParameters(Strict):
    """A net under a recipe, and the score from which on the recipe calls an image covid."""

    model: Name
    recipe: Name
    whole_net: bool
    cut_off: float


class Shared(Strict):
    """What all data sets share."""

    features: FeatureSettings
    recipe: dict[Name, Recipe]
    ladder: LadderSettings
    evaluate: EvaluateSettings
    audit: AuditSettings
    dials: DialSettings
    outliers: OutlierSettings


class Parameters(DatasetSettings, Shared):
    """Every value that one data set runs with.

    Attributes:
        models: Nets whose features heads are trained on.
        nets: Every net that a list names, `models` first.
        audit_passes: The passes of each of these nets for the audits; None where no audit runs it.
        trained: Recipes of heads on frozen features, by name.
        cut_offs: Of each of these recipes, the score from which on it calls an image covid. It stands here too, so that
            a stage that only uses heads can track it without the rest of the recipe.
        replayed: Recipes of heads on whole nets, by name.
        replayed_models: Nets that are trained as a whole; may be empty.
        audited_models: Nets of the audits that run a net; may be empty.
        heatmapped_models: Nets whose scores are traced to places; may be empty.
        test_sets: Data sets that heads are tested on only.
        retrained_models: Nets whose heads are trained again, for the ladder, without COVID-19, and on other splits if
            `resplits` has any: the main one (see `main_of`), and those replayed or audited.
        on_other_splits: Of every net, whether its heads are trained on other splits.
        ladder_recipes: Recipes that the ladder names, by name.
        heatmap_recipe: Recipe of the heads whose scores are traced to places.
    """

    models: list[Name]
    nets: dict[Name, NetParameters]
    audit_passes: dict[Name, AuditPasses | None]
    trained: dict[Name, Recipe]
    cut_offs: dict[Name, float]
    replayed: dict[Name, Recipe]
    replayed_models: list[Name]
    audited_models: list[Name]
    heatmapped_models: list[Name]
    test_sets: list[Name]
    retrained_models: list[Name]
    on_other_splits: dict[Name, bool]
    ladder_recipes: dict[Name, Recipe]
    heatmap_recipe: Name

    @property
    def frozen_runs(self) -> dict[str, RunParameters]:
        """Every net under every recipe of heads on frozen features, by `<net>-<recipe>`."""
        return _by_name(self.models, self.cut_offs, whole_net=False)

    @property
    def runs(self) -> dict[str, RunParameters]:
        """Every net under every recipe that it runs under, by `<net>-<recipe>`; those on whole nets last."""
        cut_offs = {name: recipe.cut_off for name, recipe in self.replayed.items()}
        return self.frozen_runs | _by_name(self.replayed_models, cut_offs, whole_net=True)


def _by_name(models: Iterable[str], cut_offs: Mapping[str, float], *, whole_net: bool) -> dict[str, RunParameters]:
    return {
        f"{model}-{recipe}": RunParameters(model=model, recipe=recipe, whole_net=whole_net, cut_off=cut_off)
        for model, (recipe, cut_off) in product(models, cut_offs.items())
    }


class Settings(Shared):
    """The whole of params.yaml, defaults merged into each data set."""

    datasets: Names
    test_sets: SomeNames
    models: Names
    recipes: Names
    replayed_models: SomeNames
    replays: SomeNames
    audited_models: SomeNames
    heatmapped_models: SomeNames
    dialled: SomeNames
    dataset: dict[Name, DatasetSettings]
    heatmaps: SharedHeatmapSettings

    @model_validator(mode="after")
    def _names_are_known(self, info: ValidationInfo) -> Self:
        if reserved := {"audits", "contact_sheets", "replayed"} & self.dataset.keys():
            raise ValueError(f"dataset.{min(reserved)}: the pipeline has a folder of that name; choose another")
        nets, recipes = list((info.context or {})["nets"]), list(self.recipe)
        for key, named, known in (
            ("datasets", self.datasets, list(self.dataset)),
            ("test_sets", self.test_sets, list(self.dataset)),
            ("models", self.models, nets),
            ("recipes", self.recipes, recipes),
            ("replayed_models", self.replayed_models, nets),
            ("replays", self.replays, recipes),
            ("audited_models", self.audited_models, nets),
            ("heatmapped_models", self.heatmapped_models, nets),
            ("dialled", self.dialled, list(self.dataset)),
            ("dials.images", [self.dials.images], list(self.dataset)),
            ("ladder.bottom", [self.ladder.bottom], recipes),
            ("ladder.top", [self.ladder.top], recipes),
            ("ladder.asides", self.ladder.asides, recipes),
            ("ladder.up", self.ladder.up, list(Recipe.model_fields)),
            ("ladder.remedies", list(self.ladder.remedies), list(Recipe.model_fields)),
            ("audit.recipe", [self.audit.recipe], recipes),
            ("heatmaps.recipe", [self.heatmaps.recipe], recipes),
        ):
            unknown = [name for name in named if name not in known]
            if unknown:
                raise ValueError(f"{key} names {', '.join(unknown)}; known are {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _recipes_are_run_where_they_can_be(self) -> Self:
        for name in self.recipes:
            if self.recipe[name].whole_net:
                raise ValueError(
                    f"recipes names {name}, which crops at random or trains BatchNorm and so needs the whole net; "
                    "name it in replays"
                )
        for name in self.replays:
            if not self.recipe[name].whole_net:
                raise ValueError(f"replays names {name}, which needs no more than frozen features; name it in recipes")
        if self.recipe[self.ladder.top].whole_net:
            raise ValueError(f"ladder.top names {self.ladder.top}, which needs the whole net; name one that does not")
        try:
            remedied = self.recipe[self.ladder.top].changed(self.ladder.remedies)
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            raise ValueError(f"ladder.remedies.{where}: {problem['msg']}") from None
        if remedied.whole_net:
            raise ValueError(
                "ladder.remedies sets a switch that needs the whole net; set switches that frozen features allow"
            )
        for key, name in (("audit.recipe", self.audit.recipe), ("heatmaps.recipe", self.heatmaps.recipe)):
            if name not in self.recipes:
                raise ValueError(
                    f"{key} names {name}, which recipes does not; "
                    f"name it in both, or set {key} to one of {', '.join(self.recipes)}"
                )
        return self

    @model_validator(mode="after")
    def _test_sets_are_only_tested_on(self) -> Self:
        for name in self.test_sets:
            if name in self.datasets:
                raise ValueError(f"test_sets names {name}, which datasets names too; name it in one of them")
            if self.dataset[name].split.strategy != "test-only":
                raise ValueError(
                    f"test_sets names {name}, of which only a part are test images; "
                    f"set dataset.{name}.split.strategy to test-only, or name it in datasets"
                )
        for key, name in [
            *(("datasets", name) for name in self.datasets),
            *(("dialled", name) for name in self.dialled),
        ]:
            if self.dataset[name].split.strategy == "test-only":
                raise ValueError(
                    f"{key} names {name}, which has no training images; name it in test_sets, "
                    f"or set dataset.{name}.split.strategy to patient"
                )
        return self

    @model_validator(mode="after")
    def _the_headlines_square_is_hidden(self) -> Self:
        for name in self.datasets:
            hidden = self.dataset[name].hiding.hidden
            if self.audited_models and self.audit.hidden_share not in hidden:
                raise ValueError(
                    f"audit.hidden_share is {self.audit.hidden_share:g}, which dataset.{name}.hiding.hidden does not "
                    "name; name it there"
                )
        return self

    def parameters(self, dataset: str, nets: Mapping[str, Net]) -> Parameters:
        """Return every value that one data set runs with; `nets` is the zoo."""
        own = self.dataset[dataset]
        untrained_seed = None if own.weights.source == "random" else self.audit.seed
        passes = AuditPasses(hiding=own.hiding, untrained_seed=untrained_seed)
        named = [*self.models, *self.replayed_models, *self.audited_models, *self.heatmapped_models]

        def running(models: list[str]) -> list[str]:
            return [name for name in models if name in self.models]

        again = {main_of(self.models), *self.replayed_models, *self.audited_models}
        retrained = [name for name in self.models if name in again]
        on_ladder = (self.ladder.bottom, self.ladder.top, *self.ladder.asides)
        return Parameters(
            **{name: getattr(own, name) for name in DatasetSettings.model_fields},
            **{name: getattr(self, name) for name in Shared.model_fields},
            models=self.models,
            nets={name: NetParameters(net=nets[name], runs=name in self.models) for name in dict.fromkeys(named)},
            audit_passes={name: passes if name in running(self.audited_models) else None for name in named},
            trained={name: self.recipe[name] for name in self.recipes},
            cut_offs={name: self.recipe[name].cut_off for name in self.recipes},
            replayed={name: self.recipe[name] for name in self.replays},
            replayed_models=running(self.replayed_models),
            audited_models=running(self.audited_models),
            heatmapped_models=running(self.heatmapped_models),
            test_sets=self.test_sets,
            retrained_models=retrained,
            on_other_splits={name: name in retrained and bool(own.resplits) for name in named},
            ladder_recipes={name: self.recipe[name] for name in on_ladder},
            heatmap_recipe=self.heatmaps.recipe,
        )


def validate(values: Any, origin: str, nets: Collection[str]) -> Settings:
    """Check `values`, as read from the file `origin`, against the schema, defaults merged into each data set.

    Args:
        values: Nested dicts and lists.
        origin: Named in errors.
        nets: Names of the nets that lists may name.

    Raises:
        UserError: The first wrong key, by its path in the file, with what is allowed there; or a default that no data
            set uses.
    """
    try:
        return _validate(values, origin, nets)
    except RecursionError:
        raise UserError(f"{origin}: nested too deep, or in itself; write it without") from None


def _validate(values: Any, origin: str, nets: Collection[str]) -> Settings:
    if not isinstance(values, dict):
        raise UserError(f"{origin}: empty, or no table of keys; get it back with `git checkout {origin}`")
    if not isinstance(values.get("dataset"), dict) or not values["dataset"]:
        raise UserError(f"{origin}: dataset: a table of data sets is needed, a block by name")
    shared, blocks = values.get("defaults"), values["dataset"]
    if not isinstance(shared, dict):
        raise UserError(f"{origin}: defaults: a table is needed, of what data sets share")
    for name, block in blocks.items():
        if not isinstance(block, dict):
            raise UserError(f"{origin}: dataset.{name}: a table is needed, of what differs from defaults")
    blocks = {name: _like(name, blocks, f"{origin}: dataset") for name in blocks}
    merged = {name: _merged(shared, block, f"{origin}: dataset.{name}", "defaults") for name, block in blocks.items()}
    for path in _leaves(shared):
        if all(_holds(block, path) for block in blocks.values()):
            raise UserError(
                f"{origin}: defaults.{'.'.join(path)}: every data set sets its own, so that none uses this; remove it"
            )

    def written(path: str) -> str:
        """Return where a value of a merged block stands in the file."""
        section, _, rest = path.partition(".")
        name = next((name for name in blocks if rest.startswith(f"{name}.")), None)
        if section != "dataset" or name is None:
            return path
        key = rest.removeprefix(f"{name}.").split(".")
        own = values["dataset"]
        while not _holds(own[name], key) and "like" in own[name]:
            name = own[name]["like"]
        inherited = _holds(shared, key) and not _holds(own[name], key)
        return ".".join(["defaults", *key] if inherited else ["dataset", name, *key])

    whole = {key: value for key, value in values.items() if key != "defaults"} | {"dataset": merged}
    if isinstance(values.get("recipe"), dict):
        whole["recipe"] = {name: _like(name, values["recipe"], f"{origin}: recipe") for name in values["recipe"]}
    return checked(Settings, whole, origin, written, {"nets": nets})


def _merged(shared: Values, own: Values, place: str, default: str) -> Values:
    """Return `shared` with the values of `own` in place of its own, tables merged key by key.

    `place` and `default` say in errors where the two stand.
    """
    result = dict(shared)
    for key, value in own.items():
        if key in shared and isinstance(value, dict) != isinstance(shared[key], dict):
            kinds = {True: "a table", False: "a single value or a list"}
            raise UserError(
                f"{place}.{key}: {kinds[isinstance(value, dict)]}, where {default}.{key} is "
                f"{kinds[isinstance(shared[key], dict)]}; write it as there"
            )
        nested = isinstance(shared.get(key), dict)
        result[key] = _merged(shared[key], value, f"{place}.{key}", f"{default}.{key}") if nested else value
    return result


def _like(name: str, blocks: Values, place: str, followed: tuple[str, ...] = ()) -> Any:
    """Return a block with all its values: its own, and those of the block that it is `like`.

    `place` says in errors where the blocks stand.
    """
    own = blocks[name]
    if not isinstance(own, dict) or "like" not in own:
        return own
    other, path = own["like"], (*followed, name)
    if not isinstance(other, str) or other not in blocks or other in path:
        known = ", ".join(known for known in blocks if known not in path)
        raise UserError(f"{place}.{name}.like: {other!r} is no other block; known are {known}")
    whole = _like(other, blocks, place, path)
    differing = {key: value for key, value in own.items() if key != "like"}
    return _merged(whole, differing, f"{place}.{name}", other) if isinstance(whole, dict) else whole


def _leaves(values: Values) -> list[list[str]]:
    """Return the paths of the values in nested tables."""
    return [
        [key, *rest]
        for key, value in values.items()
        for rest in (_leaves(value) if isinstance(value, dict) and value else [[]])
    ]


def _holds(values: Any, path: list[str]) -> bool:
    """Return whether nested tables hold a value at `path`; an item of a list counts as its list."""
    for key in path:
        if not isinstance(values, dict):
            return True
        if key not in values:
            return False
        values = values[key]
    return True
