"""The one exception that users are meant to see."""


class UserError(Exception):
    """Something the user can mend.

    The message is one sentence that names the file, row or key at fault and says how to mend it. A stage or
    command that meets it prints the sentence without a traceback and exits with code 1.
    """
