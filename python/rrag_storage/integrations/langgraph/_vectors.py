"""Semantic search: which texts of an item are embedded, and which items are closest to a query."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from langgraph.store.base import PutOp, ensure_embeddings, get_text_at_path, tokenize_path

from .._steps import Either, Steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langgraph.store.base import IndexConfig
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    """One row for each text of an item; none for an item that isn't indexed."""

_BLOCK = 1_024


class Index:
    """An `IndexConfig` at work.

    Raises:
        ValueError: it doesn't say how many dimensions there are, or how to embed.
    """

    def __init__(self, config: IndexConfig) -> None:
        dims = config.get("dims")
        if not isinstance(dims, int) or isinstance(dims, bool) or dims < 1:
            raise ValueError(f'index["dims"] must be how many dimensions a vector has, not {dims!r}')
        if config.get("embed") is None:
            raise ValueError('index["embed"] must say how to embed texts')
        self.dims = dims
        self.embeddings = ensure_embeddings(config["embed"])
        self._paths = config.get("fields") or ["$"]

    def embed(self, puts: Sequence[PutOp]) -> Steps[list[Vectors]]:
        """The vectors of each item that is put, in one call for all their texts.

        Raises:
            ValueError: the model gave another number of vectors, or of dimensions.
        """
        texts = [self._texts(put) for put in puts]
        unique = list(dict.fromkeys(text for own in texts for text in own))
        vectors = dict(zip(unique, (yield from self._embedded(unique)), strict=True)) if unique else {}
        return [
            np.stack([vectors[text] for text in own]) if own else np.zeros((0, self.dims), np.float32) for own in texts
        ]

    def embed_queries(self, queries: Iterable[str]) -> Steps[dict[str, Vectors]]:
        """Each query's vector, of unit length."""
        model, vectors = self.embeddings, {}
        for query in dict.fromkeys(queries):
            raw = yield Either(partial(model.embed_query, query), partial(model.aembed_query, query))
            vectors[query] = _unit(self._checked([raw]))[0]
        return vectors

    def _texts(self, put: PutOp) -> list[str]:
        if put.index is False:
            return []
        paths = self._paths if put.index is None else put.index
        return [
            text for path in paths for text in get_text_at_path(put.value, path if path == "$" else tokenize_path(path))
        ]

    def _embedded(self, texts: list[str]) -> Steps[Vectors]:
        model = self.embeddings
        raw = yield Either(partial(model.embed_documents, texts), partial(model.aembed_documents, texts))
        if len(raw) != len(texts):
            raise ValueError(f"the embedding model gave {len(raw)} vectors for {len(texts)} texts")
        return self._checked(raw)

    def _checked(self, raw: Any) -> Vectors:
        vectors = np.asarray(raw, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.dims:
            raise ValueError(
                f"the embedding model gave vectors of shape {vectors.shape[1:]}, the index has {self.dims}"
            )
        return vectors


class Ranking:
    """Items by how close they are to a query: by the cosine of their closest text, computed exactly."""

    def __init__(self, query: Vectors) -> None:
        self._query = query
        self._keys: list[str] = []
        self._scores: list[NDArray[np.float32]] = []
        self._waiting: list[Vectors] = []
        self._rows = 0

    def add(self, key: str, vectors: Vectors) -> bool:
        """Ranks one more item. Never has enough of them: False.

        Raises:
            ValueError: its vectors were stored with another number of dimensions.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self._query):
            raise ValueError(
                f"what is stored under {key!r} has vectors of shape {vectors.shape[1:]}, the index has {len(self._query)}: "
                "put the items again after a change of the model"
            )
        if len(vectors):
            self._keys.append(key)
            self._waiting.append(vectors)
            self._rows += len(vectors)
            if self._rows >= _BLOCK:
                self._score()
        return False

    def best(self) -> list[tuple[str, float]]:
        """Keys and cosines, the closest first."""
        self._score()
        if not self._keys:
            return []
        scores = np.concatenate(self._scores)
        order = np.argsort(-scores, kind="stable")
        return [(self._keys[place], float(scores[place])) for place in order]

    def _score(self) -> None:
        if not self._waiting:
            return
        cosines = _unit(np.concatenate(self._waiting)) @ self._query
        starts = np.cumsum([0, *(len(vectors) for vectors in self._waiting[:-1])])
        self._scores.append(np.maximum.reduceat(cosines, starts))
        self._waiting, self._rows = [], 0


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths != 0)
    return unit
