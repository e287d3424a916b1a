"""The suite that every storage backend passes: what `Storage` promises, as tests.

A backend's tests subclass `StorageConformance` and give it a pytest fixture `storage` that returns an empty
storage with the default hidden prefix. No pytest is needed to import it. Must not test what only one backend
can do (links, devices, a disk's permissions): that belongs to its own tests.
"""

from __future__ import annotations

from ._suite_atomic import AtomicSuite
from ._suite_inplace import InPlaceSuite
from ._suite_partials import PartialSuite, check_limit, check_shares
from ._suite_tools import content, keep_partial, names, put, refused
from ._suite_tree import TreeSuite
from ._suite_uploads import UploadSuite

__all__ = [
    "InPlaceConformance",
    "StorageConformance",
    "check_limit",
    "check_shares",
    "content",
    "keep_partial",
    "names",
    "put",
    "refused",
]


class StorageConformance(UploadSuite, AtomicSuite, PartialSuite, TreeSuite):
    """All tests of the suite; subclass it and give it the fixture `storage`."""


class InPlaceConformance(InPlaceSuite, UploadSuite, TreeSuite):
    """The same for a storage whose uploads are written under their own names."""
