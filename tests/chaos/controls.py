"""Builds that break a promise on purpose, and the fault that makes each show. A proof that stays green then proves nothing."""

import asyncio
from dataclasses import dataclass
from typing import Callable

from faults.base import becomes
from member import total
from proxy import tell_all

LOST = 40  # messages or samples at least, so that the loss does not hang on one
DEADLINE_S = 30
COMMIT_S = 1  # several of the consumer's commit intervals


async def _front_dies_with_what_it_acknowledged(world) -> None:
    await tell_all(world.proxies("FRONTS"), "freeze both")
    before = world.fleet.update()["acknowledged"]
    await becomes(lambda: world.fleet.update()["acknowledged"] >= before + LOST, DEADLINE_S)
    await asyncio.gather(*(front.kill() for front in world.fronts))


async def _writer_dies_with_what_it_committed(world) -> None:
    writers = world.of("tsdb-writer")

    async def hold_enough() -> bool:
        return sum([total(await writer.scrape(), "sluice_tsdb_writer_held_samples") for writer in writers]) >= LOST
    await tell_all(world.proxies("postgres"), "freeze both")
    await becomes(hold_enough, DEADLINE_S)
    await asyncio.sleep(COMMIT_S)
    await asyncio.gather(*(writer.kill() for writer in writers))


@dataclass(frozen=True)
class Control:
    name: str
    service: str
    bug: str
    oracle: str  # that must say so, and no earlier one
    promise: str
    lose: Callable


CONTROLS = [
    Control("a front that acknowledges early", "mqtt-front", "front_acks_early", "O1", "what was acknowledged is in Kafka",
            _front_dies_with_what_it_acknowledged),
    Control("a writer that commits early", "tsdb-writer", "writer_commits_early", "O2", "what is in Kafka is in the tables or set aside",
            _writer_dies_with_what_it_committed),
]
