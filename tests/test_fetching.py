import functools
import hashlib
import http.server
import os
import shutil
import socket
import threading
import zipfile

import pytest

from deepcovid import fetching
from deepcovid.fetching import RemoteFile, fetch, fetch_all, find, mirror_folders

CONTENT = b"weights of a net\n" * 1000
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word; closes the line early for a path that says so."""

    def log_message(self, *parts):
        pass

    def do_GET(self):
        if self.path != "/breaks-off":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:100])
        return None


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of downloads, empty; the proxy, if any, is left aside."""
    monkeypatch.setenv("DEEPCOVID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path, cache):
    """The address of a web server with one file, nets/net.pth."""
    (tmp_path / "served/nets").mkdir(parents=True)
    (tmp_path / "served/nets/net.pth").write_bytes(CONTENT)
    handler = functools.partial(Handler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def mirror(tmp_path):
    """A mirror folder with one file, nets/net.pth."""
    (tmp_path / "mirror/nets").mkdir(parents=True)
    (tmp_path / "mirror/nets/net.pth").write_bytes(CONTENT)
    return tmp_path / "mirror"


@pytest.fixture
def target(tmp_path):
    """Where the file is to be, in a folder that is not there yet."""
    return tmp_path / "raw/net.pth"


def remote(url="", path="nets/net.pth", **facts):
    return RemoteFile(path=path, url=url, remedy="put it into the mirror", **facts)


def files_in(folder):
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("editions", "edition"), [({DIGEST: "version 2"}, "version 2"), ({"0" * 64: "other"}, None)])
def test_mirror_is_preferred_and_recorded_with_its_edition(mirror, target, editions, edition):
    record = fetch(remote("http://nowhere.invalid/net.pth", editions=editions), target, [mirror])
    assert target.read_bytes() == CONTENT
    assert record == {
        "name": "nets/net.pth",
        "origin": "mirror",
        "url": "http://nowhere.invalid/net.pth",
        "bytes": len(CONTENT),
        "sha256": DIGEST,
        "edition": edition or "not seen before; checked by content only",
    }


@pytest.mark.parametrize("with_mirror", [True, False])
def test_what_no_mirror_has_is_downloaded_once(tmp_path, mirror, server, cache, target, with_mirror):
    (mirror / "nets/net.pth").unlink()
    file = remote(f"{server}/nets/net.pth", sha256_prefix=DIGEST[:8])
    record = fetch(file, target, [mirror] if with_mirror else [])
    assert target.read_bytes() == CONTENT
    assert (record["origin"], record["sha256"]) == ("official", DIGEST)
    shutil.rmtree(tmp_path / "served")
    target.unlink()
    assert fetch(file, target, []) == record
    assert target.read_bytes() == CONTENT


def test_download_with_a_wrong_hash_is_kept_nowhere(server, cache, target, refused):
    with refused(f"{server}/nets/net.pth", DIGEST, "does not begin with abcdef01", "run again"):
        fetch(remote(f"{server}/nets/net.pth", sha256_prefix="abcdef01"), target, [])
    assert files_in(cache) == files_in(target.parent) == []


@pytest.mark.parametrize("page", ["breaks-off", "no-such-file"])
def test_download_that_fails_is_kept_nowhere(server, cache, target, refused, page):
    with refused("nets/net.pth: DEEPCOVID_MIRROR is not set", f"{server}/{page}", "or put it into the mirror"):
        fetch(remote(f"{server}/{page}"), target, [])
    assert files_in(cache) == []
    assert not target.exists()


@pytest.mark.parametrize("comment", [COMMIT, "", COMMIT[::-1]])
def test_a_download_is_of_the_commit_that_was_asked_for_or_is_kept_nowhere(tmp_path, server, cache, refused, comment):
    with zipfile.ZipFile(tmp_path / "served/repository.zip", "w") as archive:
        archive.writestr("repository/README.md", "a repository")
        archive.comment = comment.encode()
    file = remote(f"{server}/repository.zip", path="repository-master.zip", commit=COMMIT)
    target = tmp_path / "raw/repository-master.zip"
    if comment == COMMIT:
        assert fetch(file, target, [])["origin"] == "official"
        assert target.exists()
    else:
        with refused(f"{server}/repository.zip: not the archive of commit {COMMIT}", repr(comment), "put it into"):
            fetch(file, target, [])
        assert files_in(cache) == files_in(tmp_path / "raw") == []


def test_a_mirror_may_have_another_commit(tmp_path, mirror):
    with zipfile.ZipFile(mirror / "repository-master.zip", "w") as archive:
        archive.writestr("repository/README.md", "a repository")
    file = remote("http://nowhere.invalid/a.zip", path="repository-master.zip", commit=COMMIT)
    assert fetch(file, tmp_path / "raw/repository-master.zip", [mirror])["origin"] == "mirror"


def test_unreachable_address_is_named_with_the_remedy(cache, mirror, target, refused):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/net.pth"
        with refused("other.pth", f"not in the mirror {mirror}", url, "check the network", "put it into the mirror"):
            fetch(remote(url, path="other.pth"), target, [mirror])
    assert not target.exists()


@pytest.mark.parametrize("with_mirror", [True, False])
def test_file_without_an_address_is_named_with_the_remedy(mirror, target, refused, with_mirror):
    looked = f"not in the mirror {mirror}" if with_mirror else "DEEPCOVID_MIRROR is not set"
    with refused(f"other.pth: {looked}", "no public address", "put it into the mirror"):
        fetch(remote(path="other.pth"), target, [mirror] if with_mirror else [])
    assert not target.exists()


def test_interrupted_copy_leaves_no_target(mirror, target, monkeypatch):
    def break_off(source, partial):
        partial.write_bytes(source.read_bytes()[:100])
        raise OSError("no space left on device")

    monkeypatch.setattr(fetching.shutil, "copyfile", break_off)
    with pytest.raises(OSError, match="no space"):
        fetch(remote(), target, [mirror])
    assert files_in(target.parent) == []


def test_the_first_mirror_that_has_a_file_or_a_folder_wins(tmp_path, mirror, target):
    other = tmp_path / "other"
    for name, content in (("nets/net.pth", b"another"), ("nets/second.pth", b"second"), ("images/a.jpg", b"a")):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes(content)
    both = [mirror, other]
    fetch(remote(), target, both)
    assert target.read_bytes() == CONTENT
    fetch(remote(), target, both[::-1])
    assert target.read_bytes() == b"another"
    fetch(remote(path="nets/second.pth"), target, both)
    assert target.read_bytes() == b"second"
    assert find(both, "images") == other / "images"
    assert find(both, "nowhere") is None


def test_a_file_that_no_mirror_has_is_named_with_all_of_them(tmp_path, mirror, target, refused):
    (tmp_path / "other").mkdir()
    with refused(f"other.pth: not in the mirror {mirror} or {tmp_path / 'other'}", "put it into the mirror"):
        fetch(remote(path="other.pth"), target, [mirror, tmp_path / "other"])


def test_optional_files_are_copied_only_where_a_mirror_has_them(tmp_path, mirror):
    remotes = [remote(optional=True), remote(path="nets/other.pth", optional=True)]
    records = fetch_all(remotes, tmp_path / "raw", [mirror])
    assert [record["name"] for record in records] == ["nets/net.pth"]
    assert files_in(tmp_path / "raw") == ["net.pth"]


def test_mirrors_are_the_folders_that_the_environment_names_in_its_order(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DEEPCOVID_MIRROR", str(mirror))
    assert mirror_folders() == [mirror]
    monkeypatch.setenv("DEEPCOVID_MIRROR", os.pathsep.join([str(tmp_path), "", "~/mirror"]))
    assert mirror_folders() == [tmp_path, mirror]
    monkeypatch.setenv("DEEPCOVID_MIRROR", str(tmp_path / "nowhere"))
    assert mirror_folders() == [tmp_path / "nowhere"]
    monkeypatch.setenv("DEEPCOVID_MIRROR", "")
    assert mirror_folders() == []
    monkeypatch.delenv("DEEPCOVID_MIRROR")
    assert mirror_folders() == []


def test_a_home_that_nobody_has_is_no_mirror_and_no_cache(mirror, target, monkeypatch, refused):
    monkeypatch.setenv("DEEPCOVID_MIRROR", "~nobody-here/mirror")
    with refused("DEEPCOVID_MIRROR: no such folder as ~nobody-here/mirror; name those that exist, or unset it"):
        fetch(remote(), target, mirror_folders())
    monkeypatch.setenv("DEEPCOVID_CACHE", "~nobody-here")
    with refused("DEEPCOVID_CACHE: no such home as in ~nobody-here; name another folder, or unset it"):
        fetch(remote("http://nowhere.invalid/net.pth"), target, [])


@pytest.mark.parametrize("name", ["nowhere", "mirror/nets/net.pth"])
def test_a_mirror_that_is_no_folder_is_refused_when_a_file_is_asked_for(tmp_path, mirror, target, refused, name):
    with refused(f"DEEPCOVID_MIRROR: no such folder as {tmp_path / name}", "unset it"):
        fetch(remote(), target, [mirror, tmp_path / name])
    assert not target.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("other: []", "a: not there"),
        ("a: [{path: b}]", "a: 0.url: Field required"),
        ("a: [{path: 5, url: c, remedy: d}]", "a: 0.path: Input should be a valid string"),
        ("a: x", "a: Input should be a valid list"),
        ("", "a: not there"),
    ],
)
def test_a_table_of_sources_that_does_not_fit_is_one_line(tmp_path, refused, text, said):
    path = tmp_path / "sources.yaml"
    path.write_text(text)
    with refused(f"{path}: {said}; get the file back with `git checkout {path}`"):
        fetching.remote_files(path, "a")
