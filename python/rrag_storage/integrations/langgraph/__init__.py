"""LangGraph: a store for long-term memory, a saver of checkpoints, and a cache of nodes' results, in any storage."""

from __future__ import annotations

from .._support import needs

with needs("langgraph"):
    from .cache import RragNodeCache
    from .saver import RragSaver
    from .store import RragStore

__all__ = ["RragNodeCache", "RragSaver", "RragStore"]
