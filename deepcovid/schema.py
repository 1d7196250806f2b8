"""What the schemas of YAML files share: reading, strict models, and one line that says what is wrong in a file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from deepcovid.errors import UserError, reason_of

# What a value may raise that has another tag than its text, as `!!int x`, or is no date, as 2020-13-45.
BAD_VALUE = (ValueError, LookupError, TypeError, OverflowError, RecursionError)
SHOWN = 200  # characters of a wrong value


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds.

    Raises:
        UserError: It is no YAML, or names a key twice.
    """
    try:
        return YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; get it back with `git checkout {path}`") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {reason_of(error)}") from None
    except BAD_VALUE as error:
        raise UserError(f"{path}: holds a value that YAML cannot read ({reason_of(error)}); correct it") from None


class Strict(BaseModel):
    """A model that converts nothing, ignores nothing and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=Strict)


def checked(
    schema: type[Model],
    values: Any,
    origin: str,
    written: Callable[[str], str] = str,
    context: Mapping[str, Any] | None = None,
) -> Model:
    """Return `values`, as read from the file `origin`, as the model `schema`.

    Args:
        schema: The model.
        values: Nested dicts and lists.
        origin: Named in errors.
        written: Where in the file the value at a path of `values` stands, if not there.
        context: What the model's validators are told.

    Raises:
        UserError: The first wrong key, by its path, with what is allowed there.
    """
    try:
        return schema.model_validate(values, context=context)
    except ValidationError as error:
        by_path: dict[str, list[ErrorDetails]] = {}
        for problem in error.errors():
            by_path.setdefault(_key_path(values, problem), []).append(problem)
        # Where a value fits no branch of a union, each branch complains: the one that got furthest is meant.
        first = next(iter(by_path))
        path = max((path for path in by_path if f"{path}.".startswith(f"{first}." if first else "")), key=len)
        got = by_path[path][0]["input"]
        message = " or ".join(dict.fromkeys(_allowed(schema, problem) for problem in by_path[path]))
        shown = f" (got {_short(got)})" if isinstance(got, str | int | float) else ""
        others = sum(not path.startswith(other) for other in by_path)
        more = f"; and {others} more" if others else ""
        raise UserError(f"{origin}: {written(path) + ': ' if path else ''}{message}{shown}{more}") from None


def _short(value: str | float) -> str:
    """Return a value as a user may recognise it."""
    try:
        text = repr(value)
    except ValueError:  # a whole number of thousands of digits
        return "a very large number"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _key_path(values: Any, problem: ErrorDetails) -> str:
    """Return where a problem is, as the user's file has it: without the tags that pydantic puts in for unions."""
    parts: list[str] = []
    for part in problem["loc"]:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            continue
        parts.append(str(part))
    if problem["type"] == "missing":
        parts.append(str(problem["loc"][-1]))
    return ".".join(parts)


def _allowed(schema: type[Strict], problem: ErrorDetails) -> str:
    """Return what is wrong and what is allowed, in words."""
    if problem["type"] != "extra_forbidden":
        return problem["msg"].removeprefix("Value error, ")
    return f"no such key; known are {', '.join(_section(schema, problem['loc'][:-1]).model_fields)}"


def _section(schema: type[Strict], location: tuple[int | str, ...]) -> type[Strict]:
    """Return the model of the section at `location`, which holds pydantic's tags for the branches of unions."""
    models = [schema]
    for part in location:
        if part in models[0].model_fields:
            models = _models(models[0].model_fields[str(part)].annotation)
        else:  # a tag picks a branch; a name or an index of the user's changes nothing
            tagged = [model for model in models if part in get_args(model.model_fields.get("kind", _NONE).annotation)]
            models = tagged or models
    return models[0]


_NONE = FieldInfo(annotation=None)


def _models(annotation: Any) -> list[type[Strict]]:
    """Return the models that a type is, may be or holds."""
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
