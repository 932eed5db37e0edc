"""What a run has found, and how it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.base import NEVER, Adapter
from delay import Delay
from growth import Growth
from measure import Results, Timing
from stored import Stored
from threads import Shared

Id = tuple[str, str]


@dataclass(frozen=True)
class Findings:
    """All that a run has found."""

    contenders: list[type[Adapter]]
    results: Results
    growth: dict[tuple[str, str], Growth]
    """By contender and by what it was filled with, of growth.VALUES."""
    stored: Stored
    delays: dict[tuple[str, str], Delay]
    """By suite, and by contender or delay.IDLE."""
    shared: Shared
    listing: int
    """The keys in all namespaces together that listings were taken among."""

    def timing(self, contender: str, workload: Id) -> Timing | None:
        """What one contender took; None where it was not measured."""
        return self.results.timings.get((contender, workload))

    def median(self, contender: str, workload: Id) -> float | None:
        """Seconds for one operation; None where it was not measured."""
        timing = self.timing(contender, workload)
        return timing.median if timing else None

    def label(self, contender: str) -> str:
        """How a contender is called in a table."""
        return next((each.label for each in self.contenders if each.name == contender), contender)

    def of(self, contender: str) -> type[Adapter]:
        """The contender of a name that was in the run."""
        return next(each for each in self.contenders if each.name == contender)

    def quickest(self, contenders: tuple[str, ...], workload: Id) -> str | None:
        """The quickest of these; None where none was measured."""
        measured = [(time, name) for name in contenders if (time := self.median(name, workload)) is not None]
        return min(measured)[1] if measured else None

    def best_peer(self, durability: str, workload: Id) -> str | None:
        """The quickest of those that leave the event loop free, with the same durability; None if there is none."""
        peers = [
            each.name
            for each in self.contenders
            if not each.ours and each.blocks_loop == NEVER and each.suite == "disk" and each.durability == durability
        ]
        return self.quickest(tuple(peers), workload)
