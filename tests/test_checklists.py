import re
from collections import Counter
from copy import deepcopy

import pytest
from ruamel.yaml import YAML

from deepcovid.report.checklists import Checklists, read_checklists, tallies
from deepcovid.schema import checked
from tests.checkouts import ROOT
from tests.test_settings import DELETED, changed

FILE = "reference/checklists.yaml"
PATH = ROOT / FILE
OWN = read_checklists(PATH)
VALUES = YAML(typ="safe", pure=True).load(PATH)


@pytest.fixture
def values():
    """The repository's own checklists as plain values, to be changed freely."""
    return deepcopy(VALUES)


def items():
    """Return every item of the repository's checklists, with its checklist's name."""
    return [(name, item) for name, checklist in OWN.checklists.items() for item in checklist.items]


def anchors(page):
    """Return the anchors of a Markdown page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_repositorys_own_checklists_have_the_published_number_of_items():
    numbers = {name: [i.number for i in each.items] for name, each in OWN.checklists.items()}
    assert numbers["claim"] == [str(number) for number in range(1, 45)]
    main = dict.fromkeys(int(re.match(r"\d+", number).group()) for number in numbers["tripod-ai"])
    assert list(main) == list(range(1, 28))
    assert len(numbers["tripod-ai"]) == 52
    parts = Counter(number.split()[0] for number in numbers["probast-ai"])
    assert parts == {"development": 16, "evaluation": 18}


def test_numbers_are_unique_within_a_checklist():
    assert [where for where, times in Counter((name, item.number) for name, item in items()).items() if times > 1] == []


@pytest.mark.parametrize("place", sorted({item.place for _, item in items() if item.place and "<" not in item.place}))
def test_a_place_exists(place):
    path, _, anchor = place.partition("#")
    assert (ROOT / path).exists()
    if anchor:
        assert anchor in anchors(ROOT / path)


def test_items_are_short_sentences_of_our_own_and_fit_their_lines():
    assert [item.item for _, item in items() if not re.fullmatch(r"[A-Z].{10,110}\.", item.item)] == []
    assert [line for line in PATH.read_text(encoding="utf-8").splitlines() if len(line) > 120] == []


def test_tallies_count_each_answer_once():
    found = tallies(OWN)
    assert list(found) == list(OWN.checklists)
    for tally in found.values():
        assert list(tally.paper) == ["yes", "in part", "no", "unknown"]
        assert list(tally.here) == ["yes", "in part", "no", "not applicable"]
        assert sum(tally.paper.values()) == sum(tally.here.values()) == tally.items
    claim = OWN.checklists["claim"].items
    assert found["claim"].here["no"] == sum(item.here == "no" for item in claim)


@pytest.mark.parametrize("here", ["yes", "in part"])
def test_an_item_that_is_reported_here_needs_a_place(values, refused, here):
    item = values["checklists"]["claim"]["items"][43]
    item["here"] = here
    with refused(
        f"{FILE}: checklists.claim.items.43: item 44 is said to be reported here (`{here}`); name the `place`"
    ):
        checked(Checklists, values, FILE)
    item["place"] = "README.md"
    checked(Checklists, values, FILE)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("number", 1, ".number: Input should be a valid string (got 1)"),
        ("item", " ", ".item: is blank"),
        ("place", "", ".place: is blank"),
        ("paper", "not applicable", ".paper: Input should be 'yes', 'in part', 'no' or 'unknown'"),
        ("here", True, ".here: Input should be 'yes', 'in part', 'no' or 'not applicable'"),
        ("here", DELETED, ".here: Field required"),
        ("page", "12", ".page: no such key; known are number, item, paper, here, place"),
    ],
)
def test_a_wrong_item_is_named_by_its_path(values, refused, key, value, message):
    changed(values["checklists"]["claim"]["items"][0], key, value)
    with refused(f"{FILE}: checklists.claim.items.0{message}"):
        checked(Checklists, values, FILE)


def test_a_number_that_stands_twice_is_refused(values, refused):
    values["checklists"]["claim"]["items"][1]["number"] = "1"
    with refused(FILE, "checklists.claim", "items holds 2 items with the number 1; one is enough"):
        checked(Checklists, values, FILE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"checklists: {claim: [", "not valid YAML"),
        (b"checklists: 1\nchecklists: 2\n", "not valid YAML"),
        (b"\xff\xfe\xfa", "not valid YAML"),
        (b"", "Input should be"),
        (b"checklists: {}\n", "checklists: Dictionary should have at least 1 item"),
        (b"checklists: {claim: {name: CLAIM, items: []}}\n", "checklists.claim.source: Field required"),
        (b"checklists: {c: {name: C, source: {citation: C, doi: here}, items: []}}\n", "checklists.c.source.doi: "),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, refused, text, message):
    path = tmp_path / "checklists.yaml"
    path.write_bytes(text)
    with refused(f"{path}: ", message):
        read_checklists(path)
