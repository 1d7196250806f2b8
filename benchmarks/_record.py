"""What a benchmark measured, kept in benchmarks/results, where the pages of docs take their numbers from."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def record(name: str, values: dict[str, Any]) -> None:
    """Put `values` into the file of the benchmark `name`, in place of those with the same keys."""
    path = FOLDER / f"{name}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known | values, indent=2) + "\n", encoding="utf-8")
