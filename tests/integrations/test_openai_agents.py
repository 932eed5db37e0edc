"""The OpenAI Agents SDK's session: what its protocol asks, and turns of an agent with a scripted model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from agents import Agent, RunConfig, Runner, Session, SessionSettings, function_tool
from agents.extensions.memory import EncryptedSession
from agents.testing import ScriptedModel
from agents.tracing import set_tracing_disabled
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText
from rrag_storage import CorruptedDataError, DatabaseStorage, ManualClock, Storage, UnsupportedTypeError
from rrag_storage.integrations.openai_agents import RragSession
from support import finish, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def session(any_storage: Storage) -> RragSession:
    return RragSession("ada", any_storage)


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """Nothing is sent anywhere."""
    set_tracing_disabled(True)
    yield
    set_tracing_disabled(False)


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def says(text: str) -> Any:
    content = ResponseOutputText(text=text, type="output_text", annotations=[], logprobs=[])
    return ResponseOutputMessage(id="1", type="message", role="assistant", content=[content], status="completed")


async def texts(session: Session, limit: int | None = None) -> list[Any]:
    return [dict(item)["content"] for item in await session.get_items(limit)]


def test_it_is_a_session(session: RragSession) -> None:
    checked: Session = session
    assert isinstance(checked, Session)
    assert session.session_id == "ada"


async def test_items(session: RragSession) -> None:
    assert await session.get_items() == []
    assert await session.pop_item() is None
    items: list[Any] = [
        user("ä\0'; DROP TABLE"),
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "x"}]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": None, "score": 0.5},
    ]
    await session.add_items(items[:1])
    await session.add_items([])
    await session.add_items(items[1:])
    assert await session.get_items() == items
    assert await session.get_items(2) == items[2:]
    assert await session.get_items(9) == items
    assert await session.get_items(0) == []
    assert await session.pop_item() == items[3]
    assert await session.get_items() == items[:3]
    await session.clear_session()
    assert await session.get_items() == []
    await session.add_items(items[:1])
    assert await session.get_items() == items[:1]


async def test_sessions_never_meet(any_storage: Storage) -> None:
    names = ["", "a", "a::b", "::", "a:", "%", "%3A", "A", "ä", "agents_session"]
    sessions = [RragSession(name, any_storage) for name in names]
    await RragSession("a", any_storage, namespace="agents_session2").add_items([user("neighbour")])
    for session in sessions:
        await session.add_items([user(session.session_id)])
    for session in sessions:
        assert await texts(session) == [session.session_id]
        await session.clear_session()
    assert any_storage.sync.count() == 1


async def test_120_appends_at_once(session: RragSession, any_storage: Storage) -> None:
    other = RragSession("ada", any_storage)
    calls = ((session, other)[n % 2].add_items([user(f"{n}a"), user(f"{n}b")]) for n in range(120))
    await asyncio.gather(*calls)
    assert await texts(session) == [f"{n}{part}" for n in range(120) for part in "ab"]


async def test_120_appends_of_four_processes(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 'shared.db'}"
    for process in [start("integrations/append_worker.py", "session", number, url) for number in range(4)]:
        finish(process)
    async with DatabaseStorage(url) as storage:
        found = await texts(RragSession("chat", storage))
    assert len(found) == 120
    for number in range(4):
        assert [text for text in found if text.startswith(f"{number}:")] == [f"{number}:{n:02}" for n in range(30)]


async def test_an_item_is_popped_once(session: RragSession) -> None:
    await session.add_items([user(str(n)) for n in range(10)])
    popped = await asyncio.gather(*(session.pop_item() for _ in range(12)))
    assert sorted(str(dict(item)["content"]) for item in popped if item is not None) == [str(n) for n in range(10)]


async def test_settings(any_storage: Storage) -> None:
    assert RragSession("s", any_storage).session_settings == SessionSettings()
    for settings in (SessionSettings(limit=2), {"limit": 2}):
        session = RragSession("s", any_storage, session_settings=settings)
        await session.clear_session()
        await session.add_items([user(text) for text in "abc"])
        assert await texts(session) == ["b", "c"]
        assert await texts(session, 3) == ["a", "b", "c"]
    with pytest.raises(TypeError, match="limitt"):
        RragSession("s", any_storage, session_settings={"limitt": 2})


async def test_items_expire(any_storage: Storage, clock: ManualClock) -> None:
    session = RragSession("s", any_storage, ttl=60)
    await session.add_items([user("a")])
    clock.advance(40)
    await session.add_items([user("b")])
    clock.advance(30)
    assert await texts(session) == ["b"]


async def test_bad_items_change_nothing(session: RragSession) -> None:
    bad: Any = "not an item"
    with pytest.raises(TypeError, match="dict"):
        await session.add_items([user("good"), bad])
    bad = {"role": "user", "content": object()}
    with pytest.raises(UnsupportedTypeError, match='"content"'):
        await session.add_items([user("good"), bad])
    assert await session.get_items() == []


async def test_a_strange_entry_is_told(session: RragSession, any_storage: Storage) -> None:
    await session.add_items([user("a")])
    (key,) = await any_storage.keys()
    await any_storage.set(key, None)
    with pytest.raises(CorruptedDataError, match="'ada'"):
        await session.get_items()


@pytest.mark.parametrize(
    "arguments", [{"session_id": 7}, {"storage": "sqlite::memory:"}, {"namespace": ""}, {"ttl": 0}, {"ttl": True}]
)
def test_arguments_are_checked(any_storage: Storage, arguments: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        RragSession(**{"session_id": "s", "storage": any_storage, **arguments})


async def test_turns_of_an_agent(any_storage: Storage) -> None:
    @function_tool
    def weather(city: str) -> str:
        return f"sunny in {city}"

    model = ScriptedModel()
    agent = Agent(name="test", model=model, tools=[weather])
    call = ResponseFunctionToolCall(
        id="1", call_id="c1", type="function_call", name="weather", arguments='{"city": "Turin"}'
    )
    model.enqueue([call])
    model.enqueue([says("It is sunny.")])
    first = await Runner.run(agent, "What is the weather?", session=RragSession("s", any_storage))
    assert first.final_output == "It is sunny."
    model.enqueue([says("You are welcome.")])
    await Runner.run(agent, "Thanks!", session=RragSession("s", any_storage))
    seen: Any = model.calls[-1].input
    assert [item.get("type", item.get("role")) for item in seen] == [
        "user",
        "function_call",
        "function_call_output",
        "message",
        "user",
    ]
    assert len(await RragSession("s", any_storage).get_items()) == 6
    model.enqueue([says("Bye.")])
    limited = RunConfig(session_settings=SessionSettings(limit=1))
    await Runner.run(agent, "Bye!", session=RragSession("s", any_storage), run_config=limited)
    assert len(model.calls[-1].input) == 2


async def test_under_the_encrypting_session(any_storage: Storage) -> None:
    inner: Any = RragSession("s", any_storage)  # declared as the SDK's own base class, used as a session
    session = EncryptedSession(session_id="s", underlying_session=inner, encryption_key="a pass phrase")
    await session.add_items([user("hidden"), user("too")])
    assert await texts(session) == ["hidden", "too"]
    assert not any("hidden" in str(value) for _, value in any_storage.sync.items())
    assert dict(await session.pop_item() or {})["content"] == "too"
