"""Keeps the numbers of benchmarks in benchmarks/results, from which the pages of docs take them."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def record(name: str, values: dict[str, Any]) -> None:
    """Write `values` into the file of the benchmark `name`. They replace values with the same keys."""
    path = FOLDER / f"{name}.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(known | values, indent=2) + "\n", encoding="utf-8")
