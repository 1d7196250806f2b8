"""The names that people read for recipes and switches, in place of their keys in params.yaml."""

# Of the recipes that come with the project. A whole net runs in every epoch, as the released script has it.
RECIPES = {
    "paper": "paper's text",
    "released-code": "released code, frozen net",
    "failed-reproduction": "failed reproduction, frozen net",
    "released-code-replayed": "released code, whole net",
    "failed-reproduction-replayed": "failed reproduction, whole net",
    "failed-reproduction-balanced": "failed reproduction, whole net, balanced sampling",
    "failed-reproduction-cropped": "failed reproduction, whole net, BatchNorm at rest",
    "released-code-replayed-at-half": "released code, whole net, cut-off 0.5",
    "released-readme": "released README, frozen net",
}
SWITCHES = {
    "optimiser": "optimiser",
    "learning_rate": "learning rate",
    "schedule": "learning-rate schedule",
    "epochs": "epochs",
    "batch_size": "batch size",
    "augmented": "augmented copies",
    "sampling": "sampling",
    "random_crop": "random crops",
    "batch_norm": "BatchNorm",
    "selection": "selection of the epoch",
    "selection_on": "images of the selection",
    "cut_off": "cut-off",
}
VALUES = {"adam": "Adam", "sgd": "SGD"}
FROZEN = ", frozen"  # what a rung's label adds to a recipe whose net was held frozen


def title_of_recipe(name: str) -> str:
    """Return a recipe's title; one that somebody added has its own name, in words."""
    return RECIPES.get(name, name.replace("-", " "))


def title_of_switch(name: str) -> str:
    """Return a switch's title."""
    return SWITCHES.get(name, name.replace("_", " "))


def title_of_value(value: str) -> str:
    """Return what a switch is set to, in words."""
    return VALUES.get(value, value.replace("-", " "))


def title_of_rung(label: str) -> str:
    """Return what a rung's label says in titles: `cut_off: 0.5, epochs: 100`, or a recipe's name."""
    if ": " not in label:
        name = label.removesuffix(FROZEN)
        title = title_of_recipe(name)
        return title.replace("whole net", "frozen net") if name != label else title
    parts = (part.split(": ") for part in label.split(", "))
    return ", ".join(f"{title_of_switch(switch)}: {title_of_value(value)}" for switch, value in parts)
