"""The contract of a storage in executable form: pytest classes that a backend inherits.

A backend's test module is a subclass with one fixture, which gives a function that makes new, empty storages on the
given test clock, and names what the backend can't do::

    import pytest
    from rrag_storage.testing import Capabilities, StorageContract

    class TestMyBackend(StorageContract):
        capabilities = Capabilities(max_key_bytes=1024)

        @pytest.fixture
        def make_storage(self, clock, tmp_path):
            return lambda: MyStorage(tmp_path / "data", clock=clock)

Whoever would rather give one storage overrides the fixture `storage`. What `capabilities` denies is not passed over:
the suite asserts that the backend refuses it with `UnsupportedOperationError`.

`storage_machine` makes the model-based test (a Hypothesis state machine, the storage against a dict) of a backend::

    from rrag_storage.testing import storage_machine

    TestMyBackendModel = storage_machine(lambda clock: MyStorage.temporary(clock=clock)).TestCase

No event loop plugin is needed, nothing sleeps for an expiry, and nothing leaves the machine. It needs the packages of
the extra `test`: pytest and hypothesis; numpy and uvloop add their cases where they are installed.
"""

from __future__ import annotations

import pytest

# Failing assertions of these modules show their operands, as those of a test module do.
pytest.register_assert_rewrite(
    f"{__name__}.contract", f"{__name__}.equality", f"{__name__}.loops", f"{__name__}.model", f"{__name__}.operations"
)

from .capabilities import Capabilities, requires, requires_not  # after the registration above
from .contract import StorageContract
from .equality import assert_same, same
from .loops import asynchronous, eventually, in_threads, run
from .model import storage_machine

__all__ = [
    "Capabilities",
    "StorageContract",
    "assert_same",
    "asynchronous",
    "eventually",
    "in_threads",
    "requires",
    "requires_not",
    "run",
    "same",
    "storage_machine",
]
