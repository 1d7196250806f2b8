"""How many images a stage counted, so that later stages can check that its table is whole."""

from pathlib import Path

from deepcovid.errors import REMAKE, UserError, reason_of
from deepcovid.files import read_json


def counted(path: Path, *keys: str) -> int:
    """Return the sum of the counts at the dotted `keys` in a JSON file of results or provenance.

    Raises:
        UserError: The file is damaged, or lacks such a count.
    """
    values, total = read_json(path), 0
    try:
        for key in keys:
            value = values
            for part in key.split("."):
                value = value[part]
            total += int(value)
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path}: damaged ({reason_of(error)}); {REMAKE}") from None
    return total
