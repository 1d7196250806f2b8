"""What every stage shares: named options, validated parameters, one-line errors."""

import argparse
import errno
import inspect
import os
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from deepcovid import published
from deepcovid.backbones import BACKBONES
from deepcovid.errors import UserError
from deepcovid.published import Published
from deepcovid.settings import Settings, validate
from stages import paths

EXAMPLES = {"dataset": "phantom", "model": "resnet18", "recipe": "paper", "images": "cohen"}
KEYS = {"images": "dataset"}  # where an option's names are, unless under its own

REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and run again",
    errno.EDQUOT: "the disk quota is used up; free some space and run again",
    errno.EROFS: "the file system is read-only; work in a folder you may write to",
    errno.EACCES: "permission is missing; make the file and its folder readable and writable for you",
    errno.ENOENT: "the file is missing; run `dvc repro`, which makes what a stage needs",
}


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
    try:
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
    except (UserError, OSError) as error:
        if os.environ.get("DEEPCOVID_TRACEBACK"):
            raise
        sys.exit(f"error: {describe(error)}")


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


def describe(error: UserError | OSError) -> str:
    """Return the error as one line that names the file and the remedy."""
    if isinstance(error, OSError):
        remedy = REMEDIES.get(error.errno or 0, "check the file and the disk")
        return f"{error.filename or 'a file'}: {error.strerror or error}: {remedy}"
    return " ".join(str(error).split())
