"""Options of the layers: what is refused, with which words."""

from __future__ import annotations

import asyncio
import base64
import random
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from layered import COMPRESSED, ENCRYPTED, KEY, OTHER_KEY, all_three, at
from rrag_storage import (
    Compression,
    ConfigurationError,
    DatabaseStorage,
    InMemoryStorage,
    Key,
    ObjectStorage,
    RedisStorage,
    StorageClosedError,
    connect,
)
from rrag_storage.testing import asynchronous

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "compression-unknown": ({"compression": "gzip"}, ConfigurationError, "zstd.*lz4"),
    "compression-type": ({"compression": 3}, ConfigurationError, "zstd.*lz4"),
    "compression-true": ({"compression": True}, ConfigurationError, "zstd.*lz4"),
    "threshold-alone": ({"compression_threshold": 10}, ConfigurationError, "needs compression"),
    "threshold-negative": ({"compression": "lz4", "compression_threshold": -1}, ValueError, "compression_threshold"),
    "threshold-type": ({"compression": "lz4", "compression_threshold": "1"}, TypeError, "compression_threshold"),
    "key-short": ({"encryption_key": bytes(31)}, ConfigurationError, "32 bytes, not 31"),
    "key-long": ({"encryption_key": bytes(33)}, ConfigurationError, "32 bytes, not 33"),
    "key-str": ({"encryption_key": "k" * 32}, TypeError, "encryption_key must be a Key.*not str"),
    "key-bytearray": ({"encryption_key": bytearray(32)}, TypeError, "encryption_key must be a Key"),
    "keys-none": ({"encryption_key": {}}, ConfigurationError, "holds no key"),
    "keys-id-empty": ({"encryption_key": {"": KEY}}, ConfigurationError, "1 to 64 bytes"),
    "keys-id-long": ({"encryption_key": {"i" * 65: KEY}}, ConfigurationError, "1 to 64 bytes"),
    "keys-id-type": ({"encryption_key": {1: KEY}}, TypeError, "an id in encryption_key"),
    "keys-value-type": ({"encryption_key": {"a": "b"}}, TypeError, "encryption_key must be a Key"),
    "keys-without-active": ({"encryption_key": {"a": KEY, "b": OTHER_KEY}}, ConfigurationError, "need active_key"),
    "active-unknown": ({"encryption_key": {"a": KEY}, "active_key": "b"}, ConfigurationError, "'?\"?b.*not among"),
    "active-of-one": ({"encryption_key": KEY, "active_key": "b"}, ConfigurationError, "active_key needs several"),
    "active-alone": ({"active_key": "b"}, ConfigurationError, "need encryption_key"),
    "active-type": ({"encryption_key": {"a": KEY}, "active_key": 1}, TypeError, "active_key"),
    "require-alone": ({"require_encryption": True}, ConfigurationError, "need encryption_key"),
    "require-type": ({"encryption_key": KEY, "require_encryption": "yes"}, TypeError, "require_encryption"),
    "hide-alone": ({"hide_keys": True}, ConfigurationError, "hide_keys needs encryption_key"),
    "hide-type": ({"encryption_key": KEY, "hide_keys": 1}, TypeError, "hide_keys"),
    "large-type": ({"large_values": "file:///tmp"}, TypeError, "large_values must be an ObjectStorage, not str"),
    "large-threshold-alone": ({"large_value_threshold": 10}, ConfigurationError, "needs large_values"),
    "large-threshold-zero": ({"large_values": 0, "large_value_threshold": 0}, (TypeError, ValueError), "large_value"),
    "unknown": ({"encrypton_key": KEY}, TypeError, "encrypton_key"),
}

MAKERS: dict[str, Callable[..., Any]] = {
    "InMemoryStorage": InMemoryStorage,
    "DatabaseStorage": lambda **options: DatabaseStorage("sqlite::memory:", **options),
    "RedisStorage": lambda **options: RedisStorage("redis://localhost", **options),
    "ObjectStorage": lambda **options: ObjectStorage("file:///nowhere", **options),
    "connect": lambda **options: connect("memory://", **options),
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", REFUSED)
def test_bad_options_are_refused_at_once(maker: str, name: str) -> None:
    options, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        MAKERS[maker](**options)


@pytest.mark.parametrize("maker", MAKERS)
def test_none_is_as_if_it_was_not_given(maker: str) -> None:
    options = [
        "compression",
        "compression_threshold",
        "encryption_key",
        "active_key",
        "require_encryption",
        "hide_keys",
        "large_values",
        "large_value_threshold",
    ]
    MAKERS[maker](**dict.fromkeys(options))


def test_a_threshold_of_no_bytes() -> None:
    with pytest.raises(ValueError, match="large_value_threshold"):
        InMemoryStorage(large_values=InMemoryStorage(), large_value_threshold=0)
    InMemoryStorage(compression="zstd", compression_threshold=0)


def test_no_refusal_shows_a_key() -> None:
    secret = b"an-all-too-well-known-secret-key"
    texts = []
    for options in (
        {"encryption_key": secret[:31]},
        {"encryption_key": secret.decode()},
        {"encryption_key": {"a": secret, "b": secret}},
        {"encryption_key": {"a": secret.decode()}},
        {"encryption_key": secret, "active_key": "a"},
    ):
        with pytest.raises((TypeError, ValueError)) as refused:
            InMemoryStorage(**options)
        texts.append(str(refused.value))
    assert not any("well-known" in text for text in texts)


class TestKey:
    """`Key`."""

    def test_generated_ones_differ(self) -> None:
        keys = [Key.generate() for _ in range(10)]
        assert len({key.export() for key in keys}) == 10
        assert len({key.fingerprint for key in keys}) == 10
        assert all(len(base64.b64decode(key.export())) == 32 for key in keys)

    def test_the_fingerprint_says_nothing_else(self) -> None:
        key = Key(bytes(32))
        assert key.fingerprint == Key(bytes(32)).fingerprint
        assert repr(key) == f"<Key {key.fingerprint}>"
        assert key.export() not in repr(key)
        assert bytes(32).hex()[:16] != key.fingerprint

    @pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
    def test_the_wrong_size(self, size: int) -> None:
        with pytest.raises(ConfigurationError, match=f"32 bytes, not {size}"):
            Key(bytes(size))

    def test_a_passphrase(self) -> None:
        key = Key.from_passphrase("correct horse battery staple", b"0123456789abcdef")
        assert key.export() == Key.from_passphrase("correct horse battery staple", b"0123456789abcdef").export()
        assert key.export() != Key.from_passphrase("correct horse battery staple", b"0123456789abcdeg").export()
        assert key.export() != Key.from_passphrase("correct horse battery staples", b"0123456789abcdef").export()

    @pytest.mark.parametrize(("passphrase", "salt"), [("", bytes(16)), ("word", b""), ("word", bytes(15))])
    def test_a_passphrase_without_salt(self, passphrase: str, salt: bytes) -> None:
        with pytest.raises(ConfigurationError, match="at least 16 bytes"):
            Key.from_passphrase(passphrase, salt)

    @pytest.mark.parametrize("form", ["base64", "url-safe", "hex", "HEX", "blanks"])
    def test_from_the_environment(self, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
        raw = bytes(range(200, 232))
        text = {
            "base64": Key(raw).export(),
            "url-safe": base64.urlsafe_b64encode(raw).decode(),
            "hex": raw.hex(),
            "HEX": raw.hex().upper(),
            "blanks": f"  {Key(raw).export()}\n",
        }[form]
        monkeypatch.setenv("RRAG_TEST_KEY", text)
        assert Key.from_env("RRAG_TEST_KEY").fingerprint == Key(raw).fingerprint

    @pytest.mark.parametrize("text", [None, "", "c2VjcmV0", "no base64 at all, surely", "0" * 63, "+f" * 32, "é" * 32])
    def test_from_an_environment_without_one(self, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
        monkeypatch.delenv("RRAG_TEST_KEY", raising=False)
        if text is not None:
            monkeypatch.setenv("RRAG_TEST_KEY", text)
        with pytest.raises(ConfigurationError, match="RRAG_TEST_KEY") as refused:
            Key.from_env("RRAG_TEST_KEY")
        assert not text or text not in str(refused.value)


class TestCompression:
    """`Compression`."""

    @pytest.mark.parametrize("level", [-7, 1, 22])
    def test_levels(self, level: int) -> None:
        compression = Compression("zstd", level=level)
        assert (compression.method, compression.level, compression.dictionary) == ("zstd", level, None)
        storage = InMemoryStorage(compression=compression, compression_threshold=1).sync
        storage.set("key", "the same " * 100)
        assert storage.get("key") == "the same " * 100

    @pytest.mark.parametrize("level", [-8, 23, 1000])
    def test_levels_that_there_are_not(self, level: int) -> None:
        with pytest.raises(ConfigurationError, match=f"-7 to 22, not {level}"):
            Compression("zstd", level=level)

    @pytest.mark.parametrize("options", [{"level": 1}, {"dictionary": b"x"}])
    def test_lz4_takes_none(self, options: dict[str, Any]) -> None:
        with pytest.raises(ConfigurationError, match="lz4 takes neither"):
            Compression("lz4", **options)

    def test_what_is_no_dictionary(self) -> None:
        with pytest.raises(ValueError, match="no dictionary"):
            Compression("zstd", dictionary=b"x" * 1000)

    @pytest.mark.parametrize("samples", [[], [b"x"], ["short"] * 3])
    def test_too_few_samples(self, samples: list[Any]) -> None:
        with pytest.raises(ValueError, match="hundreds of typical values"):
            Compression.train(samples)

    def test_samples_of_a_wrong_type(self) -> None:
        with pytest.raises(TypeError):
            Compression.train(3)
        with pytest.raises(TypeError):
            Compression.train([object()])


class TestTrained:
    """A trained dictionary."""

    SAMPLES: ClassVar = [
        {"title": f"Document {number}", "tags": ["alpha", "beta"], "author": "Ada Lovelace", "page": number}
        for number in range(1_000)
    ]

    def test_it_stands_with_the_data(self, tmp_path: Path) -> None:
        trained = Compression.train(self.SAMPLES)
        path = tmp_path / "memory.db"
        with at(path, compression=trained, compression_threshold=1).sync as storage:
            storage.mset({str(number): sample for number, sample in enumerate(self.SAMPLES)})
        with at(path).sync as storage:
            assert [storage.get(str(number)) for number in range(1_000)] == self.SAMPLES
        with at(path).sync as storage:
            assert storage.pop("1") == self.SAMPLES[1]
            assert storage.expire("2", 60) is True
            assert storage.mget(["2", "3"], refresh_ttl=60) == self.SAMPLES[2:4]
            assert dict(storage.items(limit=2)) == {"0": self.SAMPLES[0], "10": self.SAMPLES[10]}

    def test_it_pays(self) -> None:
        sizes = []
        for compression in (None, "zstd", Compression.train(self.SAMPLES)):
            threshold = None if compression is None else 1
            storage = InMemoryStorage(compression=compression, compression_threshold=threshold).sync
            storage.mset({str(number): sample for number, sample in enumerate(self.SAMPLES)})
            sizes.append(storage.stats().memory_bytes)
        assert sizes[2] < 0.9 * sizes[0]
        assert sizes[2] < sizes[1]

    def test_its_bytes_make_it_again(self) -> None:
        trained = Compression.train(self.SAMPLES, level=5)
        again = Compression("zstd", level=5, dictionary=trained.dictionary)
        assert (again.level, again.dictionary) == (5, trained.dictionary)
        assert f"{len(again.dictionary)} bytes" in repr(again)

    @asynchronous
    async def test_two_dictionaries_in_one_storage(self, tmp_path: Path) -> None:
        others = [f"an entirely other text, number {number}, of the second kind" for number in range(1_000)]
        first, second = Compression.train(self.SAMPLES), Compression.train(others)
        path = tmp_path / "memory.db"
        async with at(path, compression=first, compression_threshold=1) as storage:
            await storage.set("one", self.SAMPLES[0])
        async with at(path, compression=second, compression_threshold=1) as storage:
            await storage.set("two", others[0])
            assert await storage.mget(["one", "two"]) == [self.SAMPLES[0], others[0]]
        async with at(path, compression="lz4") as storage:
            assert await storage.mget(["one", "two"]) == [self.SAMPLES[0], others[0]]


def test_a_closed_store_of_large_values() -> None:
    store = InMemoryStorage()
    storage = InMemoryStorage(large_values=store, large_value_threshold=10).sync
    storage.set("large", "x" * 100)
    store.sync.close()
    with pytest.raises(StorageClosedError):
        storage.get("large")
    with pytest.raises(StorageClosedError):
        storage.set("other", "x" * 100)
    storage.set("small", 1)
    assert storage.get("small") == 1


def test_closing_leaves_the_store_of_large_values_open() -> None:
    store = InMemoryStorage()
    with InMemoryStorage(large_values=store, large_value_threshold=10).sync as storage:
        storage.set("large", "x" * 100)
    assert store.sync.count() == 1


def test_nothing_to_collect() -> None:
    with pytest.raises(ValueError, match="large_values"):
        InMemoryStorage().sync.collect_garbage()


@asynchronous
async def test_a_large_value_leaves_the_loop_free() -> None:
    text, noise = "text that shrinks, " * 100_000, random.Random(1).randbytes(1_000_000)

    async def while_waiting(operation: Callable[[], Awaitable[Any]]) -> tuple[list[str], Any]:
        """In which order it and a pause of no length end, and what it gives."""
        for _ in range(50):
            order = []

            async def noted(name: str, awaited: Awaitable[Any], order: list[str] = order) -> Any:
                found = await awaited
                order.append(name)
                return found

            found, _ = await asyncio.gather(noted("operation", operation()), noted("pause", asyncio.sleep(0)))
            # A thread that is done before the loop has looked, where this one had to wait for a processor, proves nothing.
            if order == free:
                break
        return order, found

    free = ["pause", "operation"]
    async with InMemoryStorage(**COMPRESSED) as storage:
        assert await while_waiting(lambda: storage.set("key", text)) == (free, None)
        assert await storage.get("key") == text
    async with InMemoryStorage(**ENCRYPTED) as storage:
        assert await while_waiting(lambda: storage.set("key", noise)) == (free, None)
        assert await while_waiting(lambda: storage.get("key")) == (free, noise)
        assert await while_waiting(lambda: storage.mget(["key", "other"])) == (free, [noise, None])
        assert await while_waiting(lambda: storage.set("key", 1)) == (["operation", "pause"], None)
    async with InMemoryStorage(**all_three()) as storage:
        assert await while_waiting(lambda: storage.set("key", noise)) == (free, None)
        assert await while_waiting(lambda: storage.get("key")) == (free, noise)
        assert [pair async for pair in storage.items()] == [("key", noise)]
