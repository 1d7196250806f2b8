"""Zips and images for tests that somebody forged, or that are damaged in a way that few files are."""

import struct
import zipfile
import zlib


def lying(path, content, size, compression=zipfile.ZIP_DEFLATED, name="a.png"):
    """Add a member to a zip that says it has `size` bytes, and the checksum of so many; return the zip's path."""
    with zipfile.ZipFile(path, "a", compression) as archive:
        archive.writestr(name, content)
        info = archive.getinfo(name)
        info.file_size, info.CRC = size, zlib.crc32(content[:size])
    return path


def nameless(path, content):
    """Write a zip with a member whose name is empty; return its path."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", content)
        archive.getinfo("a.png").filename = ""
    return path


def by_hand(side, bits, colours, row):
    """A PNG of `side` x `side` pixels, all rows alike; `colours` as the standard numbers them: 2 RGB, 3 a palette."""
    header = struct.pack(">IIBBBBB", side, side, bits, colours, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(side * (b"\0" + row))), (b"IEND", b""))
    parts = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def without_palette():
    """A PNG of palette colours, whose palette is missing."""
    return by_hand(40, 8, 3, bytes(40))


def tiled(side):
    """A TIFF of 64 x 64 pixels in a tile of `side` x `side`, without data."""
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: 8, 325: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
