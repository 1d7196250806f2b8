"""The one error that users see."""


class UserError(Exception):
    """Something a user can put right.

    The message is one line: what was wrong, which file or parameter, what to do.
    """
