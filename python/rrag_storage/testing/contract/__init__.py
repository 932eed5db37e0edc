"""The suite, one module a subject; `StorageContract` is all of them."""

from __future__ import annotations

from typing import Any

from rrag_storage.testing.capabilities import applies

from .atomicity import Atomicity
from .awaitables import Awaitables
from .basics import Basics
from .cancellation import Cancellation
from .closing import Closing
from .concurrency import Concurrency
from .entries import Entries
from .errors import Errors
from .expiry import Expiry
from .keys import Keys
from .listings import Listings
from .namespaces import Namespaces
from .synchronous import Synchronous
from .transactions import Transactions
from .unlisted import Unlisted
from .values import Values

__all__ = ["StorageContract"]


class StorageContract(
    Basics,
    Values,
    Keys,
    Entries,
    Listings,
    Unlisted,
    Namespaces,
    Expiry,
    Atomicity,
    Transactions,
    Synchronous,
    Awaitables,
    Cancellation,
    Concurrency,
    Closing,
    Errors,
):
    """Every promise of a storage as a test. A backend's test class inherits it and overrides `make_storage`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Takes out the tests of what the backend's `capabilities` deny, or of the refusal of what they grant."""
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            if name.startswith("test_") and not applies(getattr(cls, name), cls.capabilities):
                setattr(cls, name, None)
