"""The browser harness sees what it is there to see: without this, the tests that use it could not fail."""

import pytest
from PIL import Image

from tests.browser import executable, screenshot, visit

pytestmark = pytest.mark.pipeline


@pytest.fixture
def page(tmp_path):
    """A function that writes a page with the given body and returns its path."""

    def write(body):
        path = tmp_path / "page.html"
        path.write_text(f'<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>{body}</body></html>')
        return path

    return write


def test_the_dom_is_the_one_after_the_scripts_ran(page):
    seen = visit(page('<p id="a"></p><script>setTimeout(() => { a.textContent = `is ${6 * 7}`; }, 3000)</script>'))
    assert '<p id="a">is 42</p>' in seen.dom
    assert seen.requests == []
    assert seen.console == []


@pytest.mark.parametrize(
    ("body", "address"),
    [
        ('<img src="http://picture.example.org/x.png">', "picture.example.org"),
        ('<script src="https://cdn.example.org/vega@5"></script>', "cdn.example.org:443"),
        ('<script>fetch("https://data.example.org/a").catch(() => 0)</script>', "data.example.org:443"),
        ('<script>navigator.sendBeacon("https://beacon.example.org/b", "x")</script>', "beacon.example.org:443"),
        ('<script>new WebSocket("wss://socket.example.org/")</script>', "socket.example.org:443"),
        ('<link rel="preconnect" href="https://early.example.org">', "early.example.org:443"),
        ('<img src="http://127.0.0.1:8123/x.png">', "127.0.0.1:8123"),
        # A host that the browser asks for itself counts when a page asks for it.
        ('<img src="https://accounts.google.com/x.png">', "accounts.google.com:443"),
    ],
)
def test_a_request_that_tries_to_leave_is_recorded(page, body, address):
    # Sockets, beacons and early connections hold no page open, so that one alone may be missed; the picture holds it.
    requests = visit(page(f'{body}<img src="http://hold.example.org/x.png">')).requests
    asked = [request for request in requests if "hold.example.org" not in request]
    assert asked
    assert all(address in request for request in asked)


def test_what_the_page_complains_about_is_recorded(page):
    seen = visit(page('<script>console.warn("alas")</script><script>throw new Error("thrown")</script>'))
    assert len(seen.console) == 2
    assert "alas" in seen.console[0]
    assert "thrown" in seen.console[1]


def test_a_screenshot_is_as_large_as_asked_and_shows_the_page(page, tmp_path):
    path = page('<script>document.body.style.background = "rgb(1, 2, 3)"</script>')
    with Image.open(screenshot(path, tmp_path / "picture.png", width=640, height=480)) as picture:
        assert picture.size == (640, 480)
        assert picture.convert("RGB").getpixel((320, 240)) == (1, 2, 3)


def test_without_a_browser_a_test_is_skipped_or_fails_if_one_is_needed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DEEPCOVID_NEED_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser on PATH"):
        executable()
    monkeypatch.setenv("DEEPCOVID_NEED_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="no browser on PATH"):
        executable()
