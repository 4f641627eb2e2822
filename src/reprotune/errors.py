"""The exception that users are meant to see."""


class UserError(Exception):
    """Something that the user can fix.

    The message is one sentence that names the file, row or key at fault and says how to fix it. A stage or command
    prints the sentence without a traceback and exits with code 1.
    """
