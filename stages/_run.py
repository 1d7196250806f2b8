"""What every stage shares: named options, validated parameters, one-line errors."""

import argparse
import inspect
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from deepcovid.errors import UserError, in_one_line
from deepcovid.nets.zoo import BACKBONES
from deepcovid.settings import Settings, validate
from deepcovid.statistics import published
from deepcovid.statistics.published import Published
from stages import paths

EXAMPLES = {"dataset": "phantom", "model": "resnet18", "recipe": "paper", "images": "cohen"}
KEYS = {"images": "dataset"}  # where an option's names are, unless under its own


def run(stage: Callable[..., None]) -> None:
    """Run `stage(settings, ...)` with an option for each further argument it takes; exit with 1 on an error.

    Set DEEPCOVID_TRACEBACK=1 to see where an error was raised.
    """
    module = sys.modules["__main__"].__spec__
    names = list(inspect.signature(stage).parameters)[1:]
    example = " ".join(f"--{name} {EXAMPLES[name]}" for name in names)
    parser = argparse.ArgumentParser(
        prog=f"python -m {module.name if module else stage.__name__}",
        description=inspect.getdoc(sys.modules["__main__"]),
        epilog=f"example: %(prog)s {example}",
    )
    for name in names:
        parser.add_argument(f"--{name}", required=True, help=f"a name from params.yaml, `{KEYS.get(name, name)}`")
    options = vars(parser.parse_args())
    with in_one_line():
        settings = read_settings()
        read_published()  # a wrong number there is found before anything is trained, not after
        known: dict[str, Collection[str]] = {
            "dataset": settings.dataset,
            "model": BACKBONES,
            "recipe": settings.recipe,
            "images": settings.dataset,
        }
        for name, value in options.items():
            if value not in known[name]:
                raise UserError(f"--{name} {value}: not known; known are {', '.join(known[name])}")
        stage(settings, **options)


def read_settings() -> Settings:
    """Read and validate params.yaml."""
    return validate(_read_yaml(paths.PARAMS), str(paths.PARAMS))


def read_published() -> Published:
    """Read and validate reference/published.yaml."""
    return published.validate(_read_yaml(paths.PUBLISHED), str(paths.PUBLISHED))


def _read_yaml(path: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(path)
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {error}") from None
