"""`deepcovid doctor`: what is installed and within reach, and what a kill left damaged; with the commands that mend."""

import argparse
import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from deepcovid import __version__
from deepcovid.errors import Problem, UserError
from deepcovid.files import expanded

if TYPE_CHECKING:
    from deepcovid.settings.datasets import DatasetSettings

PARAMS, SOURCES, REQUIREMENTS = Path("params.yaml"), Path("reference/sources.yaml"), Path("requirements.txt")
MAIN = ("dvc", "torch", "torchvision", "numpy", "pandas", "scikit-learn", "pydantic", "safetensors")
INSTALL = "python -m pip install -c constraints.txt -r requirements.txt"


def run(options: argparse.Namespace) -> int:
    """Print it all; return 1 if something needs mending."""
    if not PARAMS.is_file():
        raise UserError(f"{PARAMS}: no such file; run this in the project's folder")
    problems = list(packages())
    if not problems:  # what follows needs them
        from deepcovid.commands import dvc_files

        print(f"device          {device()}")
        print(f"disk            {shutil.disk_usage('.').free / 1e9:.0f} GB free")
        problems += data_sets()
        if running := dvc_files.running():
            print(f"DVC             runs now ({running}); ask again after it, since it is writing its own files")
        else:
            problems += dvc_files.problems()
    print()
    for problem in problems:
        print(f"{problem.what}\n    {problem.command}")
    print(f"{len(problems)} to mend" if problems else "nothing to mend")
    return 1 if problems else 0


def packages() -> Iterator[Problem]:
    """Print the versions of the main packages; yield what is missing of those that requirements.txt names."""
    lines = REQUIREMENTS.read_text(encoding="utf-8") if REQUIREMENTS.is_file() else ""
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", lines, re.MULTILINE))
    found = {name: installed(name) for name in (*MAIN, *pinned)}
    print(f"deepcovid       {__version__}, Python {platform.python_version()}")
    print(f"packages        {', '.join(f'{name} {found[name]}' for name in MAIN)}")
    others = [f"{name} {found[name]} (pinned {pin})" for name, pin in pinned.items() if found[name] not in (None, pin)]
    if others:
        print(f"                not as {REQUIREMENTS} pins them: {', '.join(others)}")
    if missing := [name for name, there in found.items() if not there]:
        yield Problem(f"packages: {', '.join(missing)} not installed", INSTALL)


def installed(package: str) -> str | None:
    """Return the version of a package, or None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def device() -> str:
    """Return which device `features.device: auto` takes."""
    import torch
    from joblib import cpu_count  # the number that the stages share their work among

    cpu = f"cpu, {cpu_count()} cores"
    if not torch.cuda.is_available():
        return f"{cpu}; no GPU that torch can use"
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"cuda: {', '.join(names)}; {cpu}"


def data_sets() -> Iterator[Problem]:
    """Print which data sets of params.yaml are within reach and what the others need; yield what is wrong there."""
    # Here, for these need packages, and `packages` is to say so where one is missing.
    from deepcovid.fetching import MIRROR_VARIABLE, find, mirror_folders
    from deepcovid.nets.zoo import NETS
    from deepcovid.parameters import validate
    from deepcovid.schema import read_yaml

    try:
        mirrors = mirror_folders()
        find(mirrors, "")
    except UserError as error:
        yield Problem(str(error), f"unset {MIRROR_VARIABLE}")
        return
    print(f"mirror          {os.pathsep.join(map(str, mirrors)) or f'{MIRROR_VARIABLE} is not set'}")
    try:
        settings = validate(read_yaml(PARAMS), str(PARAMS), NETS)
    except UserError as error:
        yield Problem(str(error), f"git diff {PARAMS}")
        return
    print("data sets")
    for name, own in settings.dataset.items():
        downloads, lacks = needs(own, settings.models, mirrors)
        runs = "runs" if name in settings.datasets else "test set" if name in settings.test_sets else ""
        if (Path("data") / name / "raw").is_dir():
            downloads, lacks, state = [], [], f"its files are in data/{name}/raw"
        else:
            state = "not within reach" if lacks else "needs a network" if downloads else "within reach"
        print(f"  {name:<18} {runs:<9} {state}")
        for line in lacks:
            print(f"{'':<31}lacks {line}")
        if downloads:
            print(f"{'':<31}downloads {', '.join(downloads)}")
    print("                docs/data.md says how to get them")


def needs(dataset: "DatasetSettings", models: Iterable[str], mirrors: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return what a data set needs that is in no mirror: files that are downloaded; and what its user has to get.

    Args:
        dataset: Its settings.
        models: Nets that run; their weights are looked for too.
        mirrors: The folders that DEEPCOVID_MIRROR names.
    """
    from deepcovid.fetching import RemoteFile, find, remote_files, where_looked
    from deepcovid.nets.weights import file_in, published_file
    from deepcovid.sources.chexpert import NAME as CHEXPERT

    files, lacks, source = list[RemoteFile](), list[str](), dataset.source
    if source.kind == "folder":
        for key, value in (("images", source.images), ("table", source.table)):
            if not value or not expanded(value).exists():
                what = f"{value} is not there" if value else "it is blank"
                lacks.append(f'dataset.folder.source.{key}: {what}; see "Your own images" in docs/data.md')
    else:
        with suppress(UserError):  # the table of sources lists no kind that needs no file
            files = remote_files(SOURCES, source.kind)
    if dataset.split.strategy != "test-only":  # no net is run on a test set but those of other data sets
        if (weights := dataset.weights.source) == "imagenet":
            files += [published_file(net, {}, mirrors) for net in models]
        elif weights != "random":
            paths = [file_in(expanded(weights), net) for net in models]
            lacks += [f"{path}, weights" for path in paths if not path.is_file()]
    downloads = list[str]()
    for file in files:
        zipped = file.path.startswith(CHEXPERT) and find(mirrors, f"{CHEXPERT}.zip")
        if file.optional or zipped or find(mirrors, file.path):
            continue
        if file.url:
            downloads.append(file.path)
        elif file.remedy:  # the table that has neither comes with the package torchxrayvision
            lacks.append(f"{file.path}: {where_looked(mirrors)}; {file.remedy}")
    return downloads, lacks
