"""Exit codes, and which error ends a command with which."""

from __future__ import annotations

from enum import IntEnum

from .. import (
    BackendUnavailableError,
    ConfigurationError,
    CorruptedDataError,
    DecryptionError,
    InvalidKeyError,
    OperationTimeoutError,
    StorageError,
    UnsupportedOperationError,
    UnsupportedTypeError,
)


class Exit(IntEnum):
    """What a command ends with. docs/cli.md repeats this table."""

    OK = 0
    NOT_FOUND = 1
    """A key is missing, or a check failed."""
    USAGE = 2
    """Arguments, options, a url or a key that can't be used; nothing was changed."""
    UNAVAILABLE = 3
    """The backend can't be reached or opened, or did not answer in time."""
    UNREADABLE = 4
    """Stored or imported data are damaged, or the key for them is missing."""
    FAILED = 5
    """The backend refused or failed: a limit, a conflict, a disk that is full."""
    INTERNAL = 70
    """A fault of this program."""
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    """Whoever read the output has gone."""


class CommandError(Exception):
    """Ends a command with a message and an exit code."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


def code_of(error: Exception) -> Exit | None:
    """The exit code of an error that a user can do something about; None of any other."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, BackendUnavailableError | OperationTimeoutError):
        return Exit.UNAVAILABLE
    if isinstance(error, CorruptedDataError | DecryptionError):
        return Exit.UNREADABLE
    if isinstance(error, ConfigurationError | InvalidKeyError | UnsupportedTypeError | UnsupportedOperationError):
        return Exit.USAGE
    if isinstance(error, StorageError | OSError):
        return Exit.FAILED
    return None
