"""The harness of `make attack`: it tells how a try ended, goes on after a crash, repeats a try, and runs."""

import os
import re
import signal
import sys

import pandas as pd
import pytest

from benchmarks.attack import inputs
from benchmarks.attack.mutations import BINARY, TEXT
from benchmarks.attack.tries import REFUSED, SURVIVED, TRACEBACK, WRONG, AcceptedWrongly, Part
from deepcovid.errors import TERMINATED, UserError
from tests.checkouts import ROOT, run

NOTHING = dict.fromkeys(("kills", "dvc", "inputs", "outputs"), 0)


def attack(**counts):
    """Run the harness with counts of tries, none of a part that is not named."""
    options = [f"--{part}={count}" for part, count in (NOTHING | counts).items()]
    return run([sys.executable, "-m", "benchmarks.attack", *options], ROOT)


def raising(error):
    def attacked(random):
        raise error

    return attacked


def exhausting(random):
    bytearray(2**40)


def dying(random):
    os.kill(os.getpid(), signal.SIGKILL)


def hanging(random):
    while True:
        pass


ENDS = {
    "nothing": (lambda random: None, SURVIVED, ""),
    "a line": (raising(UserError("x.csv: cut; get it again")), REFUSED, "x.csv: cut; get it again"),
    "a stage's line": (raising(SystemExit("error: x")), REFUSED, "error: x"),
    "a missing file": (raising(FileNotFoundError(2, "No such file", "x")), REFUSED, "x: No such file: the file is"),
    "two lines": (raising(SystemExit("a\nb")), TRACEBACK, "not one line"),
    "a bug": (raising(KeyError("covid")), TRACEBACK, "KeyError at test_attack.py"),
    "other rows": (raising(AcceptedWrongly("2 rows of 3")), WRONG, "2 rows of 3"),
    "memory": (exhausting, TRACEBACK, "MemoryError"),
    "a crash": (dying, TRACEBACK, f"the process ended with -{int(signal.SIGKILL)}"),
    "a hang": (hanging, TRACEBACK, "took more than 1 s"),
    "the last": (lambda random: None, SURVIVED, ""),
}


def test_each_try_is_told_by_how_it_ended_and_the_next_one_is_made():
    part = Part("ends", [(kind, made) for kind, (made, *_) in ENDS.items()], seconds=1)
    results = list(part.results(0, range(len(ENDS))))
    assert [(result.number, result.kind, result.outcome) for result in results] == [
        (number, kind, outcome) for number, (kind, (_, outcome, _)) in enumerate(ENDS.items())
    ]
    for result in results:
        assert ENDS[result.kind][2] in result.said


@pytest.mark.parametrize("stopped", [KeyboardInterrupt(), SystemExit(TERMINATED)])
def test_a_harness_that_is_stopped_stops(stopped):
    part = Part("stopped", [("a", raising(stopped))], seconds=9, apart=False)
    with pytest.raises(type(stopped)):
        list(part.results(0, range(2)))


def test_a_seed_and_a_number_repeat_a_try():
    part = Part("drawn", [("a", lambda random: sys.exit(str(random.random())))], seconds=9)
    first, second = (list(part.results(4, numbers)) for numbers in (range(3), [2]))
    assert first[2] == second[0]
    assert len({result.said for result in first}) == 3
    assert part.result(5, 2).said != first[2].said


@pytest.mark.parametrize("way", [*BINARY, *TEXT])
def test_a_mutation_takes_any_bytes(way):
    part = Part("any", [("a", lambda random: way(random.randbytes(random.randrange(3)), random) and None)], seconds=9)
    assert {part.result(0, number).outcome for number in range(200)} == {SURVIVED}


def test_a_reader_that_passes_over_rows_is_found_out(tmp_path):
    lenient = Part(
        "lenient",
        [("a", lambda random: inputs.table(tmp_path, b"a,b\n1,2\n3,4\n5,6\n", skipping, random))],
        seconds=9,
    )
    assert WRONG in {lenient.result(0, number).outcome for number in range(50)}


def skipping(path):
    return pd.read_csv(path, on_bad_lines="skip", encoding_errors="replace")


@pytest.mark.pipeline
def test_the_inputs_are_mutated_and_refused_in_one_line():
    done = attack(inputs=64)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = re.findall(
        r"^inputs +(.+?) +(\d+) survived (\d+) refused 0 traceback 0 accepted_wrongly$", done.stdout, re.M
    )
    assert len(lines) == 16
    assert sum(int(survived) + int(refused) for _, survived, refused in lines) == 64


@pytest.mark.pipeline
def test_a_few_tries_of_each_part_end_well():
    done = attack(kills=3, dvc=4, inputs=16, outputs=10)
    assert done.returncode == 0, done.stdout + done.stderr
    ended = sum(int(count) for count in re.findall(r"(\d+) (?:survived|refused)", done.stdout))
    assert ended == 33
