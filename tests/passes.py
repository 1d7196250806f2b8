"""Small passes that tests hand to workers, which import this module too; and a dask cluster on this machine."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent


def versions():
    """What workers must agree on; a test starts workers of another version by the environment."""
    return json.loads(os.environ.get("TEST_VERSIONS", '{"code": "1", "numpy": "2"}'))


class Squares(NamedTuple):
    """Squares of the numbers below `rows`, two each. It notes down the shards that it does, and may die at one.

    At the first row `dies_at` it kills its process, as often as `times` says, each time after `pause` seconds.
    """

    rows: int
    folder: Path
    batch_size: int = 1
    dies_at: int = -1
    times: int = 1
    factor: int = 1
    pause: float = 0

    def __call__(self, start, stop):
        with (self.folder / "log").open("a") as log:
            log.write(f"{start}\n")
        if start == self.dies_at:
            deaths = self.folder / "deaths"
            before = int(deaths.read_text()) if deaths.exists() else 0
            if before < self.times:
                deaths.write_text(str(before + 1))
                time.sleep(self.pause)
                os.kill(os.getpid(), signal.SIGKILL)
        numbers = np.arange(start, stop, dtype=np.float32)
        return np.stack([numbers, self.factor * numbers**2], axis=1)

    def log(self):
        """Return where the shards that were begun start, in order."""
        return [int(line) for line in (self.folder / "log").read_text().split()]


@contextmanager
def cluster(folder, workers=2, **environment):
    """A scheduler and workers as a user starts them, as processes: the address, the scheduler, its workers."""
    import pytest  # here, for the workers do without

    pytest.importorskip("distributed", reason="dask is not installed: pip install -r requirements-dev.txt")
    file, log = folder / "scheduler.json", (folder / "log.txt").open("w")

    def start(tool, *options):
        command = [sys.executable, "-m", "dask", tool, "--no-dashboard", *options]
        whole = os.environ | environment
        return subprocess.Popen(command, cwd=ROOT, env=whole, stdout=log, stderr=log, start_new_session=True)

    started = [start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))]
    try:
        while not (file.exists() and file.read_text().endswith("}")):
            assert started[0].poll() is None, (folder / "log.txt").read_text()
            time.sleep(0.1)
        for number in range(workers):
            own = ["--nthreads", "1", "--local-directory", str(folder / str(number))]
            started.append(start("worker", "--scheduler-file", str(file), *own))
        yield json.loads(file.read_text())["address"], started
    finally:
        for process in started:  # each with the workers that it started
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
