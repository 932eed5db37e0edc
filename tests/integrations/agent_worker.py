"""What a process of test_langgraph_agent.py does: `agent_worker.py ACT URL LOG`: one agent, from its start or from where it stood.

The agent's model is a script. It asks for two tools at once; `measure` never ends in the process that starts the agent,
which is killed then. What runs leaves a line in the log.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import CachePolicy, Send
from rrag_storage import connect
from rrag_storage.integrations.langchain import RragCache
from rrag_storage.integrations.langgraph import RragNodeCache, RragSaver, RragStore

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage
    from rrag_storage import Storage

CONFIG: Any = {"configurable": {"thread_id": "agent::1"}}

SCRIPT = [
    AIMessage(
        "",
        tool_calls=[
            {"name": "remember", "args": {"fact": "snakes sleep"}, "id": "call-1"},
            {"name": "measure", "args": {}, "id": "call-2"},
        ],
    ),
    AIMessage("The snake sleeps and is 3 m long."),
]


class Agent:
    """A graph, and what it leaves in the log."""

    def __init__(self, storage: Storage, log: str, *, hangs: bool) -> None:
        self.log = Path(log)
        self.hangs = hangs
        agent = self

        class Scripted(BaseChatModel):
            @property
            def _llm_type(self) -> str:
                return "scripted"

            def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
                agent.note("model")
                turn = sum(isinstance(message, AIMessage) for message in messages)
                return ChatResult(generations=[ChatGeneration(message=SCRIPT[turn])])

        self.model = Scripted(cache=RragCache(storage))
        builder: Any = StateGraph(MessagesState)  # the nodes that Send calls take no state, which its types don't know
        builder.add_node("facts", self.facts, cache_policy=CachePolicy(key_func=lambda _: "facts"))
        builder.add_node("model", self.ask)
        builder.add_node("remember", self.remember)
        builder.add_node("measure", self.measure)
        builder.add_edge(START, "facts")
        builder.add_edge("facts", "model")
        builder.add_conditional_edges("model", self.choose, ["remember", "measure", END])
        builder.add_edge(["remember", "measure"], "model")
        self.graph = builder.compile(
            checkpointer=RragSaver(storage), store=RragStore(storage), cache=RragNodeCache(storage)
        )

    def note(self, line: str) -> None:
        with self.log.open("a") as file:
            file.write(line + "\n")

    def facts(self, state: MessagesState) -> dict[str, Any]:
        self.note("facts")
        return {"messages": [HumanMessage("Snakes are long.", id="facts")]}

    def ask(self, state: MessagesState) -> dict[str, Any]:
        return {"messages": [self.model.invoke(state["messages"])]}

    def choose(self, state: MessagesState) -> list[Any] | str:
        last = state["messages"][-1]
        calls = last.tool_calls if isinstance(last, AIMessage) else []
        return [Send(call["name"], call) for call in calls] or END

    def remember(self, call: Any, runtime: Runtime) -> dict[str, Any]:
        self.note("remember")
        assert runtime.store is not None
        runtime.store.put(("facts", "agent::1"), "sleep", {"fact": call["args"]["fact"]})
        return {"messages": [ToolMessage("remembered", tool_call_id=call["id"])]}

    def measure(self, call: Any) -> dict[str, Any]:
        self.note("measure")
        if self.hangs:
            threading.Event().wait()
        return {"messages": [ToolMessage("3 m", tool_call_id=call["id"])]}


async def main(act: str, url: str, log: str) -> None:
    """One process."""
    way, act = act.split("-")
    storage = connect(url)
    graph = Agent(storage, log, hangs=act == "start").graph
    given: Any = {"messages": [HumanMessage("How long is a snake?", id="question")]} if act == "start" else None
    config = CONFIG
    if act == "again":
        config = {"configurable": {"thread_id": "agent::2"}}
        given = {"messages": [HumanMessage("How long is a snake?", id="question")]}
    state = graph.invoke(given, config) if way == "sync" else await graph.ainvoke(given, config)
    print(*(message.text for message in state["messages"]), sep="\n")
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
