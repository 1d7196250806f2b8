"""The schema of reference/checklists.yaml: what checklists ask for, and what the paper and this project report."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from deepcovid.schema import Strict, checked, read_yaml
from deepcovid.settings import Name
from deepcovid.statistics.published import Text

OfPaper = Literal["yes", "in part", "no", "unknown"]
OfProject = Literal["yes", "in part", "no", "not applicable"]


class Source(Strict):
    """Where a checklist was published."""

    citation: Text
    doi: Annotated[str, Field(pattern=r"^10\.\d{4,9}/\S+$")]


class Item(Strict):
    """One item: what it asks for, and whether the paper and this project report it.

    `number` is the checklist's own. `place` is a path in this project, with `<...>` for a name that differs.
    """

    number: Text
    item: Text
    paper: OfPaper
    here: OfProject
    place: Text | None = None

    @model_validator(mode="after")
    def _has_a_place_where_it_is_reported(self) -> Self:
        if self.here in ("yes", "in part") and self.place is None:
            raise ValueError(f"item {self.number} is said to be reported here (`{self.here}`); name the `place`")
        return self


class Checklist(Strict):
    """One checklist; `note` says what else has to be known to read its answers."""

    name: Text
    source: Source
    note: Text | None = None
    items: Annotated[list[Item], Field(min_length=1)]

    @model_validator(mode="after")
    def _numbers_are_unique(self) -> Self:
        for number, times in Counter(item.number for item in self.items).items():
            if times > 1:
                raise ValueError(f"items holds {times} items with the number {number}; one is enough")
        return self


class Checklists(Strict):
    """The whole of reference/checklists.yaml."""

    checklists: Annotated[dict[Name, Checklist], Field(min_length=1)]


class Tally(NamedTuple):
    """How many items a checklist has, and by answer how many of them the paper and this project report."""

    items: int
    paper: Mapping[str, int]
    here: Mapping[str, int]


def read_checklists(path: Path) -> Checklists:
    """Read and check the checklists.

    Raises:
        UserError: The file is no YAML, or does not fit: the first wrong key, by its path, with what is allowed there.
    """
    return checked(Checklists, read_yaml(path), str(path))


def tallies(checklists: Checklists) -> dict[str, Tally]:
    """Return, by checklist, how many items have each answer; an answer that no item has counts 0."""
    return {
        name: Tally(
            items=len(checklist.items),
            paper={answer: sum(item.paper == answer for item in checklist.items) for answer in get_args(OfPaper)},
            here={answer: sum(item.here == answer for item in checklist.items) for answer in get_args(OfProject)},
        )
        for name, checklist in checklists.checklists.items()
    }
