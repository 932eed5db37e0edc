"""Is there one order of a key's calls that agrees with real time and explains every answer?

The search of Wing and Gong with Lowe's improvements: the history is walked in time; what is kept are the configurations
that the answers so far allow, each a state of the key and the calls under way that have taken effect; a call has to
take effect by the moment when its answer arrives, and others are applied before it only where that is needed. Keys
don't depend on each other, so each is checked by itself.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .record import Call

State = int | None
"""What a key holds; None where nothing is there."""

READS = frozenset({"get", "exists"})

MOST = 200_000
"""Configurations looked at for one answer, after which the check gives up."""


TOLD = 40
"""How many earlier calls a violation shows."""


class UndecidedError(Exception):
    """Too many calls of unknown outcome for a verdict."""


@dataclass(frozen=True)
class Violation:
    """No order explains what one call was told.

    Attributes:
        call: The first call, by the time of its answer, that can't be explained.
        possible: What the key could have held just before that answer.
        around: The calls under way at that moment.
        before: The calls whose answers came last before it.
    """

    call: Call
    possible: list[State]
    around: list[Call]
    before: list[Call]

    def __str__(self) -> str:
        lines = [f"{self.call.key} is not linearizable: {_told(self.call)}, where it could hold {self.possible}"]
        lines += [f"  before    {_told(call)}" for call in self.before]
        lines += [f"  meanwhile {_told(call)}" for call in self.around]
        return "\n".join(lines)


def _told(call: Call) -> str:
    answer = call.result if call.outcome == "ok" else call.outcome
    return f"{call.client} {call.kind}({call.argument}) -> {answer} [{call.began}..{call.ended}]"


def apply(state: State, kind: str, argument: Any) -> tuple[Any, State]:
    """What an operation answers where the key holds `state`, and what the key holds after it.

    `compare_and_set` takes the value that was read with the version, and the new one: as no value is written twice, the
    version stands exactly as long as the value. `remove` is a `delete` whose answer says nothing.
    """
    if kind == "get":
        return state, state
    if kind == "exists":
        return state is not None, state
    if kind == "set":
        return None, argument
    if kind == "delete":
        return state is not None, None
    if kind == "remove":
        return None, None
    if kind == "pop":
        return state, None
    if kind == "set_if_absent":
        return (True, argument) if state is None else (False, state)
    if kind == "compare_and_set":
        seen, new = argument
        return (True, new) if state == seen else (False, state)
    if kind == "increment":
        after = (state or 0) + argument
        return after, after
    raise ValueError(f"no operation of a history: {kind}")


def check(calls: Iterable[Call]) -> list[Violation]:
    """The violations of a history, at most one a key.

    Raises:
        UndecidedError: There is no verdict on a key.
    """
    found = (check_key(each) for each in by_key(calls).values())
    return [violation for violation in found if violation is not None]


def by_key(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """The calls on each key."""
    keys: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        keys[call.key].append(call)
    return keys


def check_key(calls: Iterable[Call], start: State = None) -> Violation | None:
    """The violation of a history of one key that held `start` before it, or None."""
    return _Search([call for call in calls if _matters(call)], start).run()


def _matters(call: Call) -> bool:
    """What failed changed nothing, and a read whose answer nobody got says nothing."""
    return call.outcome == "ok" or (call.outcome == "unknown" and call.kind not in READS)


Configuration = tuple[State, int]
"""What the key holds, and a bit for each call that is under way and has taken effect."""


class _Search:
    def __init__(self, calls: list[Call], start: State) -> None:
        self.calls = calls
        self.configurations: set[Configuration] = {(start, 0)}
        self.pending: list[int] = []
        self.unknown = sum(1 << number for number, call in enumerate(calls) if call.outcome == "unknown")
        self.twins = {
            number: (call.kind, repr(call.argument)) for number, call in enumerate(calls) if call.outcome == "unknown"
        }

    def run(self) -> Violation | None:
        # Of a beginning and an end at the same moment the beginning comes first: the calls overlap.
        events = [(call.began, 0, number) for number, call in enumerate(self.calls)]
        events += [(call.ended, 1, n) for n, call in enumerate(self.calls) if call.outcome == "ok" and call.ended]
        answered: deque[Call] = deque(maxlen=TOLD)
        for _, ends, number in sorted(events):
            if not ends:
                self.pending.append(number)
                continue
            found = self.explained(number)
            if not found:
                possible = sorted({state for state, _ in self.configurations}, key=repr)
                around = [self.calls[n] for n in self.pending if n != number]
                return Violation(self.calls[number], possible, around, list(answered))
            answered.append(self.calls[number])
            self.pending.remove(number)
            self.configurations = self.fewest({(state, done & ~(1 << number)) for state, done in found})
        return None

    def explained(self, number: int) -> set[Configuration]:
        """The configurations in which the call has taken effect, with as little else as that needs."""
        waiting = [self.with_reads(*each) for each in self.configurations]
        seen, found = set(waiting), set()
        while waiting:
            state, done = waiting.pop()
            if done >> number & 1:
                found.add((state, done))
                continue
            for each in self.pending:
                after = self.after(state, done, each)
                if after is not None and after not in seen:
                    seen.add(after)
                    waiting.append(after)
            if len(seen) > MOST:
                raise UndecidedError(f"{self.calls[number].key}: more than {MOST} configurations")
        return found

    def after(self, state: State, done: int, number: int) -> Configuration | None:
        """The configuration after a call takes effect, or None where it can't, or need not be tried."""
        if done >> number & 1:
            return None
        call = self.calls[number]
        answer, new = apply(state, call.kind, call.argument)
        if call.outcome == "ok":
            if answer != call.result:
                return None
        elif new == state or self.has_earlier_twin(number, done):
            return None
        return self.with_reads(new, done | 1 << number)

    def has_earlier_twin(self, number: int, done: int) -> bool:
        """Whether the same call of unknown outcome was made earlier and is not used: it can stand for this one."""
        twin = self.twins[number]
        return any(n < number and not done >> n & 1 and self.twins.get(n) == twin for n in self.pending)

    def with_reads(self, state: State, done: int) -> Configuration:
        """Answers that this state gives and that don't change it are given at once: to wait is never better.

        Only of what always answers the same it may be: it can have an effect later.
        """
        for number in self.pending:
            call = self.calls[number]
            if call.outcome == "ok" and call.kind not in ("set", "remove") and not done >> number & 1:
                answer, new = apply(state, call.kind, call.argument)
                if new == state and answer == call.result:
                    done |= 1 << number
        return state, done

    def fewest(self, configurations: set[Configuration]) -> set[Configuration]:
        """Those that use no more calls of unknown outcome than another that is otherwise the same."""
        groups: defaultdict[tuple[State, int], list[int]] = defaultdict(list)
        for state, done in configurations:
            groups[state, done & ~self.unknown].append(done & self.unknown)
        kept = set()
        for (state, known), used in groups.items():
            least: list[int] = []
            for each in sorted(used, key=int.bit_count):
                if not any(less & each == less for less in least):
                    least.append(each)
                    kept.add((state, known | each))
        return kept
