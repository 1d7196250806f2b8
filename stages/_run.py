"""What every stage shares: named options, validated parameters, one-line errors."""

import argparse
import gc
import inspect
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from deepcovid.errors import UserError, in_one_line
from deepcovid.files import replacing
from stages._resolved import read_parameters, read_settings

EXAMPLES = {"dataset": "phantom", "model": "resnet18", "recipe": "paper", "images": "cohen"}
KEYS = {"model": "models", "images": "test_sets"}  # lists in params.yaml whose name is not the option's


def run(stage: Callable[..., None]) -> None:
    """Run `stage` with a command-line option for each of its arguments but the first; exit with 1 on an error.

    The first argument is what the data set runs with (`Parameters`). If a stage has no option --dataset, it is the
    whole of params.yaml (`Settings`). Set DEEPCOVID_TRACEBACK=1 to see where an error was raised.
    """
    gc.freeze()  # what was imported stays, so it is no garbage
    gc.enable()
    spec = sys.modules["__main__"].__spec__
    assert spec
    names = list(inspect.signature(stage).parameters)[1:]
    example = " ".join(f"--{name} {EXAMPLES[name]}" for name in names)
    parser = argparse.ArgumentParser(
        prog=f"python -m {spec.name}",
        description=inspect.getdoc(sys.modules["__main__"]),
        epilog=f"example: %(prog)s {example}",
    )
    for name in names:
        parser.add_argument(f"--{name}", required=True, help=f"a name from params.yaml, `{KEYS.get(name, name)}`")
    parser.error = lambda message: sys.exit(f"error: {message}; see --help")  # type: ignore[method-assign]
    options = vars(parser.parse_args())
    with in_one_line():
        settings = read_settings()
        if "dataset" not in options:
            stage(settings, **options)
            return
        check("dataset", options["dataset"], settings.dataset)
        parameters = read_parameters(settings, options["dataset"], spec.name.removeprefix("stages."))
        known: dict[str, Collection[str]] = {
            "model": parameters.nets,
            "recipe": parameters.recipe,
            "images": parameters.test_sets,
        }
        for name, value in options.items():
            if name in known:
                check(name, value, known[name])
        stage(parameters, **options)


def leave_nothing(targets: Iterable[Path], why: str) -> None:
    """Write empty outputs for a stage whose net is not run, and print why; a name without an ending is a folder."""
    for target in targets:
        with replacing(target) as partial:
            partial.touch() if target.suffix else partial.mkdir()
    print(f"nothing to do: {why}", file=sys.stderr)


def check(name: str, value: str, known: Collection[str]) -> None:
    """Raise UserError if an option's value is not known."""
    if value not in known:
        raise UserError(f"--{name} {value}: not known; known are {', '.join(known)}")
