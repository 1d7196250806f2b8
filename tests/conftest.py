"""What test files share: the hypothesis profile, the repository's parameters, the form of an error."""

import os
import zipfile
from contextlib import contextmanager
from copy import deepcopy

import hypothesis
import pytest
from ruamel.yaml import YAML

from deepcovid.errors import UserError
from tests.checkouts import ROOT, copy_of_checkout

# The same examples on every run, and no database folder; to search further: --hypothesis-profile=search
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
hypothesis.settings.register_profile("search", deadline=None, max_examples=300, database=None)
hypothesis.settings.load_profile("repeatable")

# Before torch is loaded, here or in a stage that a test starts: the tests' arrays are too small to share out, and on a
# machine with other work threads that wait for each other crawl.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(scope="session")
def written():
    """The repository's params.yaml, parsed once; tests change copies of it."""
    return YAML(typ="safe", pure=True).load(ROOT / "params.yaml")


@pytest.fixture
def params(written):
    """The repository's params.yaml as plain values, as it is written: sparse, to be changed freely."""
    return deepcopy(written)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """The path of a random head, with its weights where the pipeline has them."""
    from tests.trained import trained_folder  # it imports torch, which most tests do without

    return trained_folder(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def refused():
    """A block that must raise UserError, in one line that holds all the given parts."""

    @contextmanager
    def expect(*parts):
        with pytest.raises(UserError) as caught:
            yield
        message = str(caught.value)
        assert len(message.splitlines()) == 1
        for part in parts:
            assert str(part) in message

    return expect


@pytest.fixture
def zipped(tmp_path):
    """A function that writes (name, content) pairs to a zip and returns its path."""

    def write(*members, compression=zipfile.ZIP_STORED):
        path = tmp_path / "images.zip"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return path

    return write


@pytest.fixture
def checkout(tmp_path):
    """A copy of what git tracks, to run stages in."""
    return copy_of_checkout(tmp_path / "checkout")
