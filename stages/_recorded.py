"""How many images a stage recorded, for those who read its table."""

import json
from pathlib import Path

from deepcovid.errors import REMAKE, UserError, reason_of


def recorded(path: Path, *keys: str) -> int:
    """Return the sum of the counts that stand in a JSON file of results or provenance at `keys`, dotted.

    Raises:
        UserError: The file is damaged, or has no such counts.
    """
    try:
        values, total = json.loads(path.read_text(encoding="utf-8")), 0
        for key in keys:
            found = values
            for part in key.split("."):
                found = found[part]
            total += int(found)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({reason_of(error)}); {REMAKE}") from None
    return total
