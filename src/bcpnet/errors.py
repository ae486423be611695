"""What bcpnet raises when the input, not the program, is wrong. The command line prints these as one line."""


class InputError(Exception):
    """Something given to bcpnet cannot be used: says what, where, and what to do. Exit code 1."""


class UsageError(InputError):
    """The call itself is wrong: an unknown name, a bad option, a missing extra. Exit code 2."""


class InputWarning(UserWarning):
    """Something given to bcpnet can be used, but not as well as it could be: says what to do. The command line prints
    these as one line, too.
    """
