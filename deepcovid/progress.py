"""Progress bars on standard error; where that is no terminal, a line every few seconds. Warnings go there too."""

import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

# No thread that looks after stalled bars: it holds tqdm's lock now and then, and a process that is forked at that
# moment would wait for the lock for ever. Bars look at the clock at every step instead (miniters).
tqdm.monitor_interval = 0


def track(items: Iterable[Item], what: str, total: int | None = None, unit: str = "images") -> Iterable[Item]:
    """Show progress over `items`."""
    return tqdm(items, desc=what, total=total, unit=f" {unit}", **_pace())


def bar(what: str, total: int, unit: str = "images") -> "tqdm[Any]":
    """Return a bar to update by hand, to be used in a with statement."""
    return tqdm(desc=what, total=total, unit=f" {unit}", **_pace())


def warn(message: str) -> None:
    """Print a warning."""
    tqdm.write(f"warning: {message}", file=sys.stderr)


def close_bars() -> None:
    """End every bar, so that what is printed next has a line of its own."""
    for one in list(getattr(tqdm, "_instances", ())):
        one.close()


def _pace() -> dict[str, Any]:
    seconds = 0.2 if sys.stderr.isatty() else 5.0
    return {"mininterval": seconds, "miniters": 1}
