import errno
import hashlib
import tracemalloc
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcovid import archives
from deepcovid.archives import Archive
from deepcovid.errors import UserError
from tests.forged import lying, nameless

CONTENT = b"not an image, but bytes of one " * 4


def test_files_are_listed_in_order_and_read(zipped):
    with Archive(zipped(("b/two.png", b"2"), ("a/", b""), ("a/one.png", CONTENT))) as archive:
        assert archive.members() == ["b/two.png", "a/one.png"]
        assert archive.read("a/one.png") == CONTENT
        assert archive.digest("a/one.png") == hashlib.sha256(CONTENT).hexdigest()


def test_missing_archive_is_refused(tmp_path, refused):
    with refused(tmp_path / "none.zip", "no such archive", "run the download stage"):
        Archive(tmp_path / "none.zip")


@pytest.mark.parametrize("content", [b"", b"a web page", b"PK\x03\x04"])
def test_file_that_is_no_zip_is_refused(tmp_path, refused, content):
    path = tmp_path / "images.zip"
    path.write_bytes(content)
    with refused(path, "not a zip archive", "get it again"):
        Archive(path)


def test_truncated_archive_is_refused(zipped, refused):
    path = zipped(("a.png", CONTENT))
    path.write_bytes(path.read_bytes()[:-30])
    with refused(path, "truncated", "get it again"):
        Archive(path)


@pytest.mark.parametrize("name", ["/etc/passwd", "\\share\\a", "../a", "a/../../b", "C:/a", "C:a"])
def test_member_name_that_leads_out_of_the_archive_is_refused(zipped, refused, name):
    path = zipped((name, b"x"))
    with refused(path, "unsafe member name", repr(name), "official source"):
        Archive(path)


def test_member_without_a_name_is_refused(tmp_path, refused):
    path = nameless(tmp_path / "images.zip", CONTENT)
    with refused(path, "unsafe member name ''", "official source"):
        Archive(path)


@pytest.mark.parametrize("name", ["..a/b..c", "a..b", "folder/10:30.png"])
def test_member_name_with_harmless_dots_and_colons_is_accepted(zipped, name):
    with Archive(zipped((name, b"x"))) as archive:
        assert archive.members() == [name]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_repeated_member_name_is_refused(zipped, refused):
    path = zipped(("a.png", b"1"), ("a.png", b"2"))
    with refused(path, "two members", "'a.png'", "clean copy"):
        Archive(path)


def test_expansion_bomb_is_refused(zipped, refused):
    path = zipped(("a.png", bytes(2**20)), compression=zipfile.ZIP_DEFLATED)
    with refused(path, "'a.png' expands to 1048576 bytes", "clean copy"):
        Archive(path)


def test_oversized_member_is_refused(zipped, refused, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", len(CONTENT) - 1)
    path = zipped(("a.png", CONTENT))
    with refused(path, f"'a.png' expands to {len(CONTENT)} bytes", "clean copy"):
        Archive(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_that_is_neither_stored_nor_deflated_is_refused(zipped, refused, method):
    path = zipped(("a.png", CONTENT), compression=method)
    with refused(path, f"'a.png' is compressed with method {method}", "pack it again with deflate"):
        Archive(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize(("size", "word"), [(0, "more"), (100, "more"), (10_001, "less")])
def test_member_of_another_size_than_the_archive_says_is_refused(tmp_path, refused, compression, size, word):
    path = lying(tmp_path / "lie.zip", (CONTENT * 100)[:10_000], size, compression)
    with Archive(path) as archive, refused(path, f"'a.png' has {word} than the {size} bytes", "clean copy"):
        archive.read("a.png")


def test_member_that_expands_beyond_the_size_that_the_archive_says_takes_little_memory(tmp_path, refused):
    path = lying(tmp_path / "bomb.zip", bytes(64 * 2**20), 1000, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    try:
        with Archive(path) as archive, refused("'a.png' has more than the 1000 bytes"):
            archive.read("a.png")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_running_out_of_memory_is_no_fault_of_a_member(zipped, monkeypatch):
    def read(*_):
        raise MemoryError

    with Archive(zipped(("a.png", CONTENT))) as archive:
        monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
        with pytest.raises(MemoryError):
            archive.read("a.png")


def test_a_disk_that_fails_is_no_fault_of_a_member(zipped, monkeypatch):
    def read(*_):
        raise OSError(errno.EIO, "Input/output error")

    with Archive(zipped(("a.png", CONTENT))) as archive:
        monkeypatch.setattr(zipfile.ZipExtFile, "read", read)
        with pytest.raises(OSError, match="Input/output error"):
            archive.read("a.png")


def test_encrypted_member_is_refused(zipped, refused):
    path = zipped(("a.png", CONTENT))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with refused(path, "'a.png' is encrypted", "without a password"):
        Archive(path)


def test_missing_member_is_refused(zipped, refused):
    path = zipped(("a.png", CONTENT))
    with Archive(path) as archive, refused(path, "no member 'b.png'", "complete copy"):
        archive.read("b.png")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_member_is_refused(zipped, refused, compression):
    path = zipped(("a.png", CONTENT), compression=compression)
    content = bytearray(path.read_bytes())
    content[30 + len("a.png") + 12] ^= 0xFF
    path.write_bytes(content)
    with Archive(path) as archive, refused(path, "'a.png' is damaged", "fetch the archive again"):
        archive.read("a.png")


@given(data=st.data())
def test_any_one_damaged_byte_leaves_the_right_content_or_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", CONTENT)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        with Archive(path) as archive:
            assert archive.read("a.png") == CONTENT
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017
