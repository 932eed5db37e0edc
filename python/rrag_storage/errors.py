"""The exceptions, in one tree.

::

    StorageError
    ├── StorageClosedError
    ├── LimitExceededError
    ├── ConflictError
    ├── PartialWriteError
    ├── DecryptionError
    ├── CorruptedDataError
    ├── UnsupportedOperationError
    ├── BackendUnavailableError   also a ConnectionError
    ├── OperationTimeoutError     also a TimeoutError
    ├── InvalidKeyError           also a ValueError
    ├── InvalidValueError         also a ValueError
    ├── UnsupportedTypeError      also a TypeError
    └── ConfigurationError        also a ValueError

Each says what was wrong, where, and what to do; none repeats a password, a secret or a stored value.
"""

from __future__ import annotations

import asyncio

__all__ = [
    "BackendUnavailableError",
    "ConfigurationError",
    "ConflictError",
    "CorruptedDataError",
    "DecryptionError",
    "InvalidKeyError",
    "InvalidValueError",
    "LimitExceededError",
    "OperationTimeoutError",
    "PartialWriteError",
    "StorageClosedError",
    "StorageError",
    "UnsupportedOperationError",
    "UnsupportedTypeError",
]


class StorageError(Exception):
    """The base of all of them; by itself: the backend refused or failed, in its own words.

    Attributes:
        key: The key that it is about, where there is one.
        retryable: Whether the same call may succeed later with nothing changed.
    """

    key: str | None = None
    retryable: bool = False


class StorageClosedError(StorageError):
    """The storage, or the view, was closed."""


class LimitExceededError(StorageError):
    """A write would have gone past a limit; nothing was changed."""


class ConflictError(StorageError):
    """A key that a transaction read was changed by someone else; nothing was written. Run it again."""

    retryable = True


class PartialWriteError(StorageError):
    """A backend that writes key by key failed in the middle.

    Attributes:
        written: The keys that were written.
    """

    written: list[str]

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.written = []


class DecryptionError(StorageError):
    """A record can't be decrypted: wrong or missing key, moved, or changed."""


class CorruptedDataError(StorageError):
    """A stored record can't be read: cut, changed, or not written by this library."""


class UnsupportedOperationError(StorageError):
    """The backend can't do this; the message says why and what to use."""


class BackendUnavailableError(StorageError, ConnectionError):
    """The backend can't be reached or opened."""

    retryable = True


# asyncio's own class is the builtin from Python 3.11 on; on 3.10 `except asyncio.TimeoutError` must work as well.
if asyncio.TimeoutError is TimeoutError:

    class OperationTimeoutError(StorageError, TimeoutError):
        """The backend did not answer within the timeout."""

        retryable = True

else:  # pragma: no cover

    class OperationTimeoutError(StorageError, TimeoutError, asyncio.TimeoutError):  # type: ignore[no-redef, misc]  # 3.10 only
        """The backend did not answer within the timeout."""

        retryable = True


class InvalidKeyError(StorageError, ValueError):
    """A key that can't be stored: empty, too long, or not expressible in UTF-8."""


class InvalidValueError(StorageError, ValueError):
    """A value that does not fit the model of a typed view: one to be stored, or one that is stored already.

    The message has the key, the place in the value, and what the model's validator says of it; the validator's own error
    is the `__cause__`. A stored value is in neither, unless the validator's author puts it there, as pydantic does in its
    own error's text (`hide_input_in_errors` in a model's configuration keeps it out).

    Attributes:
        stored: What is stored, as plain Python, where that is what does not fit: after a `pop` nobody else has it.
    """

    stored: object = None


class UnsupportedTypeError(StorageError, TypeError):
    """A value that can't be stored exactly; the message names the place in it."""


class ConfigurationError(StorageError, ValueError):
    """An option or a url that can't be used."""
