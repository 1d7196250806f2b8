"""What several sections of params.yaml are made of: shares, names, seeds, sizes."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

Item = TypeVar("Item")


def distinct(values: list[Item]) -> list[Item]:
    """Return `values`, which may name each only once."""
    if len(set(values)) < len(values):
        raise ValueError(f"each value may be named once, got {values}")
    return values


Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Names = Annotated[list[Name], Field(min_length=1), AfterValidator(distinct)]
LARGEST = 512  # pixels

# Side of what a net is shown, pixels. Nets halve it up to five times, and audits divide it by 16.
ImageSize = Annotated[int, Field(ge=64, le=LARGEST, multiple_of=16)]
MOST_SEEDS = 1000
SEEDS_WANTED = f"write 2 to {MOST_SEEDS} seeds, as a number or as a list"


def counted(seeds: object) -> object:
    """Return the seeds 0 to n - 1 for a number n, and anything else as it is."""
    if not isinstance(seeds, int) or isinstance(seeds, bool):
        return seeds
    if not 0 <= seeds <= MOST_SEEDS:
        raise ValueError(SEEDS_WANTED)
    return list(range(seeds))


def several(seeds: list[int]) -> list[int]:
    """Return `seeds`, of which there must be two: one does not show how results vary."""
    if len(seeds) < 2:
        raise ValueError(SEEDS_WANTED)
    return seeds


def several_or_none(seeds: list[int]) -> list[int]:
    """Return `seeds`, of which there may be any number but one."""
    if len(seeds) == 1:
        raise ValueError(f"{SEEDS_WANTED}, or 0 for none")
    return seeds


def as_counted(seeds: list[int]) -> int | list[int]:
    """Return how many seeds there are if they are 0 to n - 1, and otherwise the seeds."""
    return len(seeds) if seeds == list(range(len(seeds))) else seeds


# Written as a number where they can be, so that what stages track stays short.
_Counted = Annotated[
    list[Seed],
    Field(max_length=MOST_SEEDS),
    BeforeValidator(counted),
    AfterValidator(distinct),
    PlainSerializer(as_counted),
]
Seeds = Annotated[_Counted, AfterValidator(several)]
SeedsOrNone = Annotated[_Counted, AfterValidator(several_or_none)]
