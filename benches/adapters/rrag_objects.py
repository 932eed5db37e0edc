"""rrag_storage on an object store: its own methods, called as they are."""

from __future__ import annotations

from pathlib import Path

from rrag_storage import ObjectStorage, Storage
from servers.s3 import KEY_ID, REGION, SECRET

from .base import NO_DURABILITY
from .rrag import Rrag


class RragObjects(Rrag):
    """ObjectStorage on the stub."""

    name = "rrag-objects"
    label = "rrag_storage ObjectStorage"
    suite = "objects"
    durability = NO_DURABILITY
    floor = "obstore"

    def make(self, directory: Path) -> Storage:
        options = {
            "endpoint": self.endpoint(),
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
            "region": REGION,
        }
        return ObjectStorage(self.place(), storage_options=options, allow_http=True)


CONTENDERS = (RragObjects,)
