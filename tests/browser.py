"""Open a page in headless Chromium: what it looks like after its scripts ran, and what it asked the network for.

The browser's only way out is a proxy in this process, which writes down every request and refuses it. A browser also
asks for things on its own account (updates, a signed-in user), whatever its flags; its net log tells those apart, since
no page is their origin. Without a browser on PATH the test is skipped; with DEEPCOVID_NEED_BROWSER=1 it fails.
"""

import json
import os
import re
import shutil
import socketserver
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",  # root in a container has none
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's /dev/shm is small
    "--disable-quic",  # would pass the proxy by
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
    # The less the browser asks for on its own account, the better.
    "--no-first-run",
    "--no-default-browser-check",
    "--no-pings",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=OptimizationHints,MediaRouter,Translate,NetworkTimeServiceQuerying",
)
SECONDS = 120
# Real seconds before a refusal. The page's time stands still until it comes, so that what the page asked for just
# before has left the browser too: nothing waits for a WebSocket, and the browser may be gone before it is asked for.
LAG = 0.5
BROWSER = "not an origin"  # how the net log writes the initiator of a request that no page made


@dataclass(frozen=True)
class Visit:
    """A page after its scripts ran, the requests that it tried to send off the machine, the lines of its console."""

    dom: str
    requests: list[str]
    console: list[str]


def visit(page, seconds=20, width=1280):
    """Open the file `page` and let `seconds` of the page's own time pass (the browser skips what is only waiting).

    A window is at least 500 pixels wide, whatever `width` says.
    """
    result, requests = _run(page, seconds, f"--window-size={width},1000", "--enable-logging=stderr", "--dump-dom")
    return Visit(result.stdout, requests, re.findall(r":CONSOLE.*?\] (.*)", result.stderr))


def screenshot(page, picture, width=1400, height=1000, seconds=20):
    """Save the top `width` x `height` pixels of the file `page` as the PNG file `picture`."""
    _run(page, seconds, f"--window-size={width},{height}", f"--screenshot={Path(picture).resolve()}")
    return picture


def _run(page, seconds, *flags):
    browser = executable()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, _recording_proxy() as (port, requests):
        log = Path(folder) / "net.json"
        command = [
            browser,
            *FLAGS,
            f"--proxy-server=http://127.0.0.1:{port}",
            "--proxy-bypass-list=<-loopback>",  # not even a server on this machine is asked directly
            f"--user-data-dir={folder}/profile",
            f"--log-net-log={log}",
            f"--virtual-time-budget={seconds * 1000}",
            *flags,
            Path(page).resolve().as_uri(),
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert result.returncode == 0, result.stderr
        own = _hosts_that_only_the_browser_asked(json.loads(log.read_text()))
    return result, [request for request in requests if _host(request) not in own]


def _hosts_that_only_the_browser_asked(log):
    """Return the hosts in a net log of Chromium that were asked for no page's sake."""
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    hosts = {True: set(), False: set()}
    for event in log["events"]:
        asked = event.get("params", {})
        if event["type"] == start and "initiator" in asked:
            hosts[asked["initiator"] == BROWSER].add(urlsplit(asked["url"]).hostname)
    return hosts[True] - hosts[False]


def _host(request):
    """Return the host of a proxy's request line: `CONNECT host:port HTTP/1.1`, or `GET http://host/path HTTP/1.1`."""
    target = request.split()[1]
    return urlsplit(target if "://" in target else f"//{target}").hostname


def executable():
    """Return the browser's path; skip the test where there is none, or fail it with DEEPCOVID_NEED_BROWSER=1."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"no browser on PATH (looked for {', '.join(NAMES)}): install Chromium"
        if os.environ.get("DEEPCOVID_NEED_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class _Refuse(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self):
        request = self.rfile.readline().decode("latin-1").strip()
        if request:
            self.server.requests.append(request)
            time.sleep(LAG)
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@contextmanager
def _recording_proxy():
    """Yield the port of a proxy that refuses everything, and the list of request lines that it fills."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Refuse) as server:
        server.daemon_threads = True
        server.requests = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1], server.requests
        finally:
            server.shutdown()
