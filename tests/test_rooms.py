"""The library's rooms: a package imports only from those below it, nothing goes round in circles, and each package's
docstring is its table of contents."""

import ast
from graphlib import TopologicalSorter

import pytest

from tests.checkouts import ROOT

ROOMS = (
    "commands",
    "report",
    "audits",
    "ladder",
    "heatmaps",
    "drawing",
    "statistics",
    "heads",
    "nets",
    "sources",
    "images",
    "passes",
    "",  # the base: the modules that lie flat in deepcovid/, and `settings`
)
# `deepcovid.load_head` imports torch when it is first asked for; `python -m deepcovid` runs the command.
EXCEPTIONS = {"deepcovid", "deepcovid.__main__"}
PACKAGES = sorted(path.parent for path in (ROOT / "deepcovid").rglob("__init__.py"))


def modules():
    """Return the library's files by the names of their modules."""
    found = {}
    for path in sorted((ROOT / "deepcovid").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(module):
    """Return the modules of the library that `module` imports, wherever in it: the deepest that each import names."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return found & MODULES.keys()


def room(module):
    """Return the room of a module, blank for the base."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else ""


def test_every_package_is_a_room_or_in_one():
    top = {path.name for path in PACKAGES if path.parent == ROOT / "deepcovid"}
    assert top == {*ROOMS, "settings"} - {""}


@pytest.mark.parametrize("module", sorted(MODULES.keys() - EXCEPTIONS))
def test_a_module_imports_only_from_its_own_room_and_those_below(module):
    own = ROOMS.index(room(module))
    assert [other for other in imported(module) if ROOMS.index(room(other)) < own] == []


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter({module: imported(module) for module in MODULES.keys() - EXCEPTIONS}).prepare()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_packages_docstring_names_each_of_its_modules_on_a_line(package):
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    named = [line.split()[0] for line in docstring.splitlines() if line.split()[1:]]
    modules = [path.name for path in package.glob("*.py") if path.stem not in ("__init__", "__main__")]
    packages = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    assert [name for name in [*modules, *packages] if named.count(name) != 1] == []
    assert [name for name in named if name.endswith((".py", "/")) and name not in [*modules, *packages]] == []
