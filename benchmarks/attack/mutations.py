"""What is done to the bytes of a file. Each function takes them and a source of chance, and returns others."""

from random import Random

NUMBERS = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80")
# What a text may hold that its readers may not expect.
ODD = (
    *('"', "'", ",", ",,", "\0", "\r", "\t", "\n\n", "\x1b[2J", "\ufeff", "\u202e", "\U0001f9e1", "é" * 300, " "),
    *("nan", "-inf", "1e999", "9" * 5000, "-1", "0x1F", "1_000", "null", "~", "true", "[]", "{}", "[" * 500, "{" * 500),
    *("!!int x", "!!python/object:os.system x", "&a [*a]", "*a", "<<: *a", "%YAML 9.9", "2020-13-45", "? ", "- ", ": "),
)


def cut(content: bytes, random: Random) -> bytes:
    """Cut off the end."""
    return content[: random.randrange(len(content))] if content else b""


def flipped(content: bytes, random: Random) -> bytes:
    """Change a few bytes."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 8)):
        if changed:
            changed[random.randrange(len(changed))] ^= random.randint(1, 255)
    return bytes(changed)


def replaced(content: bytes, random: Random) -> bytes:
    """Take out a run of bytes, or write zeros, chance, an extreme number or another run of the file over it."""
    start, length = random.randrange(len(content) + 1), random.choice((1, 4, 16, 200))
    run = random.randrange(len(content) + 1)
    new = random.choice((b"", bytes(length), random.randbytes(length), *NUMBERS, content[run : run + length]))
    return content[:start] + new + content[start + random.choice((0, len(new), length)) :]


def appended(content: bytes, random: Random) -> bytes:
    """Add bytes at the end."""
    return content + random.choice((content, bytes(100), random.randbytes(100), b"\n"))


def odd(content: bytes, random: Random) -> bytes:
    """Put something odd into a text, between letters or in place of a word."""
    new, start = random.choice(ODD).encode(), random.randrange(len(content) + 1)
    end = random.choice((start, start + 1, start + random.randrange(12)))
    return content[:start] + new + content[end:]


def rows(content: bytes, random: Random) -> bytes:
    """Drop lines, repeat one or swap two."""
    lines = content.splitlines(keepends=True)
    first, last = sorted(random.randrange(len(lines) + 1) for _ in range(2))
    some = lines[first:last]
    return b"".join(random.choice((lines[:first] + lines[last:], lines + some, some, lines[:first] + some[::-1])))


BINARY = (cut, flipped, flipped, replaced, replaced, appended)
TEXT = (cut, flipped, replaced, odd, odd, odd, rows)
