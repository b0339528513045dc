"""What every fault is made of."""

import asyncio
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """Something that must hold besides what is checked for every fault."""
    what: str
    is_kept: bool
    detail: str = ""


class Fault:
    """One fault, once: made, injected, held, healed, looked at. What it needs to remember it keeps in itself.

    The runner waits for recovery between heal() and verify(); what breaks must be whole after heal().
    """

    number = 0  # of docs and schedules; several kinds may share one
    name = ""
    how = ""
    expects = ""
    hold_s = 6.0
    budget_s = 90.0  # for recovery, on a machine that has other things to do
    least_brokers = 1
    needs_disk = False

    def __init__(self):
        self.claims: list[Claim] = []
        self.seen: list[str] = []

    def claim(self, what: str, is_kept: bool, detail: object = "") -> None:
        self.claims.append(Claim(what, bool(is_kept), str(detail)))

    def impossible(self, world) -> str:
        """Why it cannot be had here; empty where it can."""
        if world.brokers < self.least_brokers:
            return f"needs {self.least_brokers} brokers"
        if self.needs_disk and not world.has_disks:
            return "file systems cannot be mounted here"
        return ""

    async def inject(self, world, dice: random.Random) -> None:
        raise NotImplementedError

    async def hold(self, world, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def heal(self, world) -> None:
        raise NotImplementedError

    async def verify(self, world, since: float, healed: float) -> None:
        """Claims about the time from injection to healing, when all is well again. Times are as the fleet's."""


async def becomes(probe, deadline: float = 20) -> bool:
    """Whether `probe()`, which may be awaited for, becomes true in time."""
    end = asyncio.get_running_loop().time() + deadline
    while True:
        answer = probe()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return True
        if asyncio.get_running_loop().time() > end:
            return False
        await asyncio.sleep(0.25)
