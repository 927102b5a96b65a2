"""The errors that a user can cause, and the one line each of them prints.

Every message says what was found, where, what was expected and what to do next. A command turns an
``AvocadoError`` into that line on stderr and exit code 2 (see ``backend.cli``); anything else is a
defect of this program and keeps its traceback.
"""

_TRACEBACK_CHARACTERS = 4000


class AvocadoError(Exception):
    """Base of every error that the user can mend.

    Args:
        found: what was found, as a phrase without a full stop.
        where: file, row, column or option it was found in; empty where the phrase says it already.
        expected: what would have been right.
        action: what to do next.
    """

    def __init__(self, found: str, *, where: str = "", expected: str = "", action: str = "") -> None:
        """Join the parts into one line."""
        self.found = found
        self.where = where
        self.expected = expected
        self.action = action
        message = f"{where}: {found}" if where else found
        if expected:
            message += f"; expected {expected}"
        if action:
            message += f"; {action}"
        super().__init__(" ".join(message.split()))


class ConfigError(AvocadoError):
    """An option, plan or configuration that cannot be used."""


class DataError(AvocadoError):
    """A data set that cannot be read or would make results wrong."""


class StoreError(AvocadoError):
    """A run store that cannot be opened, read or written."""


class LostFileError(StoreError):
    """A file of a store that is missing or damaged: what needs it cannot be done, everything else can."""


class TrainingError(AvocadoError):
    """A run that cannot go on: diverged, collapsed, or out of memory."""


def unknown_name(kind: str, name: str, valid: list[str] | tuple[str, ...], where: str = "") -> ConfigError:
    """An error that lists the valid names of a registry.

    Args:
        kind: what the name should have named, e.g. ``"backbone"``.
        name: the name that was given.
        valid: every name that would have been accepted.
        where: the option or file that held it.
    """
    return ConfigError(
        f"unknown {kind} {name!r}",
        where=where,
        expected=f"one of {', '.join(sorted(valid))}",
        action=f"pick a valid {kind}",
    )


def describe_failure(error: BaseException) -> str:
    """The reason of a failure in one line, for the store; a defect of ours has its traceback below."""
    if isinstance(error, AvocadoError):
        return str(error)
    import traceback

    words = " ".join(str(error).split())
    trace = "".join(traceback.format_exception(error))[-_TRACEBACK_CHARACTERS:].strip()
    return f"{type(error).__name__}: {words}\n{trace}"
