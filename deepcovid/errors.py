"""The error that users see."""

import re


class UserError(Exception):
    """Something a user can put right.

    The message is one line: what was wrong, which file or parameter, what to do.
    """


class BadImageError(UserError):
    """One image that cannot be used; the message says why and what to do."""


def reason_of(error: Exception) -> str:
    """Return another library's message as one line, without addresses in memory, which differ from run to run."""
    return re.sub(r" ?<[^<>]* at 0x[0-9a-f]+>", "", " ".join(str(error).split()))
