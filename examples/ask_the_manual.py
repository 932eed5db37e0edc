"""Answers questions about Python from the language reference that CPython ships, kept in one SQLite file.

    python examples/ask_the_manual.py
    python examples/ask_the_manual.py "What does yield from do?" "How do I catch an exception?"

The first run splits the manual into chunks, embeds them and stores everything; an interrupted one is continued by the
next. Later runs find it all there and answer at once. Embeddings are a hashing TF-IDF, so nothing is downloaded and
numpy is all that is needed besides rrag_storage. The times that it prints leave out Python's start and the imports.
What is stored, and under which keys:

    manual::corpus                 which text this is, how far its ingestion got, and the weight of each dimension
    manual::chunks::TOPIC::0007    a chunk of text with its metadata
    manual::vectors::TOPIC         the vectors of a topic's chunks, one float32 matrix
    manual::answers::DIGEST        an answer given before, for an hour
    conversation::turns, ::00042   how many questions were asked, and each of them
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import itertools
import platform
import re
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from rrag_storage import DatabaseStorage, Storage, StorageError, Transaction

QUESTIONS = [
    "How are default parameter values evaluated?",
    "When is a finally clause executed?",
    "What is a context manager?",
]
ANSWERS_LIVE = timedelta(hours=1)
CHUNK_CHARACTERS = 900
DIMENSIONS = 1024
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a about an and are as at be by can could do does for from had has have how i if in into is it its may must "
        "not of on or should so than that the their then there these they this to used was were what when where which "
        "who why will with would you your",
    )
)


# Text to vectors


def split(text: str) -> list[str]:
    """Cuts a text between paragraphs into chunks of about CHUNK_CHARACTERS."""
    chunks = [""]
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if chunks[-1] and len(chunks[-1]) + len(paragraph) > CHUNK_CHARACTERS:
            chunks.append(paragraph)
        else:
            chunks[-1] = f"{chunks[-1]}\n\n{paragraph}" if chunks[-1] else paragraph
    if len(chunks) > 1 and len(chunks[-1]) < CHUNK_CHARACTERS // 3:
        chunks[-2:] = ["\n\n".join(chunks[-2:])]
    return chunks


def features(text: str) -> Iterator[str]:
    """The words of a text, its pairs of neighbours, and the runs of four letters in each word."""
    words = [word for word in re.findall(r"[a-z_][a-z_0-9]*", text.lower()) if word not in STOP_WORDS]
    yield from words
    for first, second in itertools.pairwise(words):
        yield f"{first} {second}"
    for word in (f"^{word}$" for word in words):
        for start in range(len(word) - 3):
            yield word[start : start + 4]


def count_features(texts: list[str]) -> np.ndarray:
    """How often each of the DIMENSIONS buckets is hit by the features of each text: one row a text."""
    buckets = ([zlib.crc32(feature.encode()) % DIMENSIONS for feature in features(text)] for text in texts)
    return np.stack([np.bincount(np.array(hits, dtype=np.int64), minlength=DIMENSIONS) for hits in buckets])


def embed(texts: list[str], weights: np.ndarray) -> np.ndarray:
    """Unit vectors, float32, one row a text: the dot product of two is their cosine similarity."""
    rows = np.log1p(count_features(texts)) * weights
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), dtype=np.float32)


# Into the storage


@dataclass
class Corpus:
    """What the storage knows of the whole manual."""

    fingerprint: str
    python: str
    chunks: int
    complete: bool
    weights: np.ndarray


async def ingest(manual: Storage) -> tuple[Corpus, int]:
    """Brings the manual into the storage where it isn't there yet; the corpus, and how many chunks that took."""
    text = repr((CHUNK_CHARACTERS, DIMENSIONS, sorted(topics.items())))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()

    stored = await manual.get("corpus")
    if stored is not None and stored["fingerprint"] == fingerprint:
        corpus = Corpus(**stored)
    else:
        await manual.clear()  # Nothing yet, or the manual of another Python.
        corpus = describe(fingerprint)
        await manual.set("corpus", vars(corpus))
    if corpus.complete:
        return corpus, 0

    there = set(await manual.namespace("vectors").keys())
    ingested = 0
    for topic in show_progress([topic for topic in sorted(topics) if topic not in there]):
        texts = read_topic(topic)
        batch: dict[str, Any] = {
            f"chunks::{topic}::{number:04}": {"topic": topic, "number": number, "of": len(texts), "text": text}
            for number, text in enumerate(texts)
        }
        batch[f"vectors::{topic}"] = embed(texts, corpus.weights)
        await manual.mset(batch)  # All of a topic or nothing of it, so an interrupted run leaves no half of one.
        ingested += len(texts)

    corpus.complete = True
    await manual.set("corpus", vars(corpus))
    return corpus, ingested


def describe(fingerprint: str) -> Corpus:
    """Reads the whole manual once: how many chunks it has, and how rare each feature is."""
    counts = np.concatenate([count_features(read_topic(topic)) for topic in sorted(topics)])
    weights = np.log((1 + len(counts)) / (1 + np.count_nonzero(counts, axis=0))) + 1
    return Corpus(fingerprint, platform.python_version(), len(counts), False, weights.astype(np.float32))


def read_topic(topic: str) -> list[str]:
    """A topic's chunks, each with the topic's title above it."""
    first, *others = split(topics[topic])
    title = first.partition("\n")[0]
    return [first, *(f"{title}\n\n{chunk}" for chunk in others)]


def show_progress(todo: list[str], width: int = 40) -> Iterator[str]:
    """Yields what is to do and draws how far it got: over and over on a terminal, now and then into a file."""
    terminal = sys.stdout.isatty()
    for done, item in enumerate(todo):
        if terminal or done % 20 == 0:
            bar = "#" * (width * done // len(todo))
            print(f"[{bar:.<{width}}] {done}/{len(todo)} {item:<24}", end="\r" if terminal else "\n", flush=True)
        yield item
    if todo:
        print(f"[{'#' * width}] {len(todo)}/{len(todo)} {'done':<24}")


# Out of the storage


@dataclass
class Index:
    """All vectors, ready to be searched: row i belongs to the chunk under keys[i]."""

    keys: list[str]
    vectors: np.ndarray
    weights: np.ndarray

    def nearest(self, question: str, count: int) -> tuple[list[str], list[float]]:
        """The keys of the chunks that are most similar to a question, and how similar they are, the best first."""
        similarities = self.vectors @ embed([question], self.weights)[0]
        best = np.argsort(-similarities)[:count]
        return [self.keys[row] for row in best], similarities[best].tolist()


@dataclass
class Answer:
    """The passage that is most similar to a question, and the topics of the next ones."""

    text: str
    topic: str
    similarity: float
    see_also: list[str]


async def load_index(manual: Storage, weights: np.ndarray) -> Index:
    """Reads every topic's matrix, page by page."""
    keys, matrices = [], []
    async for topic, matrix in manual.namespace("vectors").items():
        keys += [f"chunks::{topic}::{number:04}" for number in range(len(matrix))]
        matrices.append(matrix)
    return Index(keys, np.concatenate(matrices), weights)


async def answer(manual: Storage, index: Index, question: str) -> tuple[Answer, str]:
    """The passage that is nearest to the question, and where it came from."""
    started = time.perf_counter()
    digest = hashlib.sha256(" ".join(question.lower().split()).encode()).hexdigest()[:16]
    cache_key = f"answers::{digest}"
    cached = await manual.get(cache_key)
    if cached is not None:
        left = await manual.ttl(cache_key) or 0
        return Answer(**cached), f"manual::{cache_key}, cached for {left / 60:.0f} min more, {milliseconds(started)}"

    keys, similarities = index.nearest(question, 3)
    chunks: list[Any] = await manual.mget(keys)
    topic, *see_also = dict.fromkeys(chunk["topic"] for chunk in chunks)
    found = Answer(chunks[0]["text"], topic, similarities[0], see_also)
    await manual.set(cache_key, vars(found), ttl=ANSWERS_LIVE)
    return found, f"manual::{keys[0]}, {milliseconds(started)}"


async def remember(conversation: Storage, question: str, topic: str) -> None:
    """Adds a turn to the conversation: its number and its text are written together, or not at all."""

    async def add_turn(tx: Transaction) -> None:
        number = await tx.increment("turns")
        await tx.set(f"{number:05}", {"question": question, "topic": topic})

    await conversation.transact(add_turn)


# The program


def milliseconds(started: float) -> str:
    return f"{(time.perf_counter() - started) * 1000:.1f} ms"


async def run(database: str, fresh: bool, questions: list[str]) -> None:
    begun = time.perf_counter()
    async with DatabaseStorage(f"sqlite:{database}") as storage:
        print(f"opened {storage.url} in {milliseconds(begun)}")
        if fresh:
            print(f"deleted {await storage.clear('manual') + await storage.clear('conversation')} entries")
        manual, conversation = storage.namespace("manual"), storage.namespace("conversation")

        started = time.perf_counter()
        corpus, ingested = await ingest(manual)
        took = f" in {time.perf_counter() - started:.1f} s" if ingested else ""
        there = f" ({corpus.chunks - ingested} already there)" if ingested < corpus.chunks else ""
        print(f"ingested {ingested} chunks{took}{there}, the manual of Python {corpus.python}")

        started = time.perf_counter()
        index = await load_index(manual, corpus.weights)
        shape = " x ".join(map(str, index.vectors.shape))
        print(f"read {shape} {index.vectors.dtype} from manual::vectors in {milliseconds(started)}")

        if turns := await conversation.get("turns", 0):
            last: Any = await conversation.get(f"{turns:05}")
            print(f"read from conversation: {turns} questions so far, the last one: {last['question']}")

        for number, question in enumerate(questions):
            found, source = await answer(manual, index, question)
            if number == 0:
                print(f"first answer after {time.perf_counter() - begun:.2f} s")
            print(f"\n>>> {question}\n\n{found.text}\n")
            print(f"    topic {found.topic}, similarity {found.similarity:.2f}, read from {source}")
            if found.see_also:
                print(f"    see also: {', '.join(found.see_also)}")
            await remember(conversation, question, found.topic)

        stats = await storage.stats()
        print(f"\n{stats.backend_type}: {stats.total_keys} entries in {stats.namespace_count} namespaces, ", end="")
        print(f"{stats.memory_bytes / 1e6:.1f} MB; {await manual.count('answers')} answers cached, ", end="")
        print(f"{await conversation.get('turns')} questions asked; {time.perf_counter() - begun:.2f} s in all")


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers questions about Python from its own manual.")
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help="each in quotes; without any, three built in")
    parser.add_argument("--database", default="ask_the_manual.db", metavar="PATH", help="default: %(default)s")
    parser.add_argument("--fresh", action="store_true", help="forget the manual and the conversation first")
    arguments = parser.parse_args()
    try:
        asyncio.run(run(arguments.database, arguments.fresh, arguments.questions or QUESTIONS))
    except KeyboardInterrupt:
        sys.exit("interrupted; run it again to go on from here")
    except StorageError as error:
        sys.exit(f"{arguments.database}: {error}")


if __name__ == "__main__":
    main()
