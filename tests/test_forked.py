import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial

import pytest

from deepcovid.errors import UserError
from deepcovid.passes import forked
from deepcovid.passes.forked import at_once
from tests.checkouts import ROOT

STOPPED = """
import os, sys, time
from functools import partial
from deepcovid.errors import in_one_line
from deepcovid.passes import forked

def say(text):
    os.write(1, f"{text}\\n".encode())
    time.sleep(60 * (text == "long"))

forked.cpu_count = lambda: 2
with in_one_line():
    forked.at_once([partial(say, "long"), partial(say, "short"), partial(say, "short")])
"""
NESTED = STOPPED.replace('partial(say, "long")', 'partial(forked.at_once, 2 * [partial(say, "long")])')


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    monkeypatch.setattr(forked, "cpu_count", lambda: 2)


def process_of(number):
    return number, os.getpid()


def started(script):
    return subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests may ignore it
    )


def test_each_call_returns_its_own_from_other_processes():
    made = at_once([partial(process_of, number) for number in range(5)])
    assert [number for number, _ in made] == list(range(5))
    assert os.getpid() not in {process for _, process in made}
    assert at_once([]) == []
    assert at_once([partial(process_of, 7)]) == [(7, os.getpid())]


def test_an_error_in_a_call_is_raised():
    def fail():
        raise UserError("no luck")

    with pytest.raises(UserError, match="no luck"):
        at_once([fail, partial(time.sleep, 30)])


def test_a_process_that_dies_is_told():
    with pytest.raises(UserError, match="a process died"):
        at_once([partial(os._exit, 9), partial(time.sleep, 30)])


@pytest.mark.parametrize("whole_group", [True, False])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_ends_when_it_is_stopped_with_a_process_at_work_and_one_idle(whole_group, number, status):
    """As a terminal or a container's end stops it; a pool waited for ever for the lock of the idle process."""
    process = started(STOPPED)
    said = [process.stdout.readline() for _ in range(3)]
    assert sorted(said) == ["long\n", "short\n", "short\n"]
    time.sleep(0.2)
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == status
    assert "Traceback" not in err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_processes_that_processes_forked_end_with_the_first(number, status):
    with started(NESTED) as process:
        said = [process.stdout.readline() for _ in range(4)]
        assert sorted(said) == ["long\n", "long\n", "short\n", "short\n"]
        os.kill(process.pid, number)
        try:
            process.communicate(timeout=20)  # its output ends when none of them is left
            assert process.returncode == status
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
