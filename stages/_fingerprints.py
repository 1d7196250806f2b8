"""What a stage's results depend on, apart from data and parameters: our code, and the packages it computes with.

Import statements are followed wherever they stand in a module. Two kinds are left out: those in a `__getattr__`, which
run only if someone asks for a name, and those for type checkers only.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from deepcovid.errors import UserError, reason_of

ROOT = Path(__file__).parent.parent
OURS = ("deepcovid", "stages")
# Tables that stages do not track as code. Their lines are among the resolved parameters, so a new line changes nothing.
TABLES = {"deepcovid.nets.zoo"}
# Packages that only decide where work is done. They change no result.
ASIDE = {"dask", "distributed"}
# Packages whose import name is not the name that they are installed under.
INSTALLED_AS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "jinja2": "Jinja2",
    "markupsafe": "MarkupSafe",
    "ruamel": "ruamel.yaml",
    "sklearn": "scikit-learn",
}


class Module(NamedTuple):
    """A module of ours: the modules of ours and the packages that it imports, and a digest of its code."""

    ours: frozenset[str]
    packages: frozenset[str]
    digest: str


def stages() -> list[str]:
    """Return the names of the scripts that are stages."""
    scripts = sorted((ROOT / "stages").glob("[!_]*.py"))
    return [path.stem for path in scripts if b"__main__" in path.read_bytes()]


@cache
def code_of(stage: str) -> str:
    """Return a fingerprint of a stage's script and of all modules of ours that it imports.

    Comments and docstrings do not count.
    """
    digests = {name: module_at(name).digest for name in modules_of(stage) - TABLES}
    return hashlib.sha256(repr(sorted(digests.items())).encode()).hexdigest()[:16]


@cache
def packages_of(stage: str) -> dict[str, str]:
    """Return the packages that a stage imports through modules of ours, each with its installed version.

    Raises:
        UserError: A package is not installed, or has no version.
    """
    names = {package for name in modules_of(stage) for package in module_at(name).packages}
    return {name: _version(name) for name in sorted(names, key=str.lower)}


def fingerprint_of_packages(stage: str) -> str:
    """Return a fingerprint of the packages that a stage imports, and of their versions."""
    return hashlib.sha256(repr(packages_of(stage)).encode()).hexdigest()[:16]


def versions_of(stage: str) -> dict[str, str]:
    """Return the code of a stage and the packages that it imports, each by its name with its fingerprint or version."""
    return {"code": code_of(stage), **packages_of(stage)}


@cache
def modules_of(stage: str) -> frozenset[str]:
    """Return the names of the modules of ours that a stage consists of."""
    found: set[str] = set()
    waiting = {f"stages.{stage}"}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= module_at(name).ours - found
    return frozenset(found)


@cache
def module_at(name: str) -> Module:
    """Return the module of ours with a dotted name.

    Raises:
        UserError: It cannot be parsed, or imports a module of ours that does not exist.
    """
    path = _file(name)
    assert path is not None, name
    try:
        tree = ast.parse(path.read_text("utf-8"))
        imported = list(_imports(tree))
        _remove_docstrings(tree)
        digest = hashlib.sha256(ast.unparse(tree).encode()).hexdigest()
    except (SyntaxError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not Python that can be read ({reason_of(error)}); correct it") from None
    ours, packages = set(), set()
    for module, names in imported:
        top = module.split(".")[0]
        if top in OURS:
            if not _file(module):
                raise UserError(f"{path}: imports {module}, which does not exist; correct the import")
            parts = module.split(".")
            whole = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
            ours |= {*whole, *(f"{module}.{one}" for one in names if _file(f"{module}.{one}"))}
        elif top not in sys.stdlib_module_names | ASIDE:
            packages.add(INSTALLED_AS.get(top, top))
    return Module(frozenset(ours), frozenset(packages), digest)


def _file(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands directly in the blocks of a statement: statements, handlers of errors, cases of a match.

    Expressions are left out. They hold no import and no docstring, and going through them takes most of the time.
    """
    for block in ("body", "handlers", "orelse", "finalbody", "cases"):
        yield from getattr(node, block, ())


def _imports(node: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """Yield each import: the dotted name of the module, and the names taken from it, which may be modules too."""
    for child in _statements(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, []) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            if not child.module or child.level:
                raise ValueError("relative import")
            yield child.module, [alias.name for alias in child.names]
        elif not _is_aside(child):
            yield from _imports(child)


def _is_aside(node: ast.AST) -> bool:
    for_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return for_types or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")


def _remove_docstrings(node: ast.AST) -> None:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]
    for child in _statements(node):
        _remove_docstrings(child)


@cache
def _version(package: str) -> str:
    try:
        found = version(package)
    except (PackageNotFoundError, UnicodeDecodeError):
        found = None
    if not found:
        raise UserError(
            f"{package}: not installed, or without a version; install it again with "
            "`python -m pip install -c constraints.txt -r requirements.txt`"
        )
    return found
