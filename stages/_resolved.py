"""Everything that a data set runs with: its parameters, and for each stage fingerprints of its code and packages.

The stage `resolve` writes this to resolved/<data set>.json. The stages in dvc.yaml track the keys there that they use.
The file also has the versions of the packages, for people: `git diff resolved` shows which package has changed.
"""

import json
from typing import Any

from deepcovid.errors import UserError
from deepcovid.nets.zoo import NETS
from deepcovid.parameters import Parameters, Settings, validate
from deepcovid.schema import read_yaml
from deepcovid.statistics import published
from deepcovid.statistics.published import Published
from stages import _fingerprints, paths

REMEDY = "run `dvc repro`, which starts with it, or `python -m stages.resolve`"


def read_settings() -> Settings:
    """Read and validate params.yaml."""
    return validate(read_yaml(paths.PARAMS), str(paths.PARAMS), NETS)


def read_published() -> Published:
    """Read and validate what others report, reference/published.yaml."""
    return published.validate(read_yaml(paths.PUBLISHED), str(paths.PUBLISHED))


def resolved(settings: Settings, dataset: str, stages: list[str]) -> dict[str, Any]:
    """Return the contents of a data set's resolved file for these stages."""
    return {
        "parameters": settings.parameters(dataset, NETS).model_dump(mode="json"),
        "code": {stage: _fingerprints.code_of(stage) for stage in stages},
        "packages": {stage: _fingerprints.fingerprint_of_packages(stage) for stage in stages},
        "versions": {name: version for stage in stages for name, version in _fingerprints.packages_of(stage).items()},
    }


def read_parameters(settings: Settings, dataset: str, stage: str) -> Parameters:
    """Return the parameters in a data set's resolved file, for the script of a stage.

    Raises:
        UserError: The file is missing, or does not match the present params.yaml, code and installed packages.
    """
    path = paths.resolved(dataset)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not there yet; {REMEDY}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error}); {REMEDY}") from None
    now = resolved(settings, dataset, [stage])
    for part, key, value in [
        *(("parameters", key, value) for key, value in now["parameters"].items()),
        ("code", stage, now["code"][stage]),
        ("packages", stage, now["packages"][stage]),
    ]:
        section = found.get(part) if isinstance(found, dict) else None
        if not isinstance(section, dict) or section.get(key) != value:
            raise UserError(
                f"{path}: {part}.{key} is not what params.yaml, the code and the installed packages give now; {REMEDY}"
            )
    return Parameters.model_validate_json(json.dumps(now["parameters"]))
