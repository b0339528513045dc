"""Faults of Kafka: what every acknowledgement depends on."""

import asyncio
import os
import random
import signal

from .base import Fault, becomes
from member import total
from proxy import tell_all
from world import BALLAST

RAW = "sluice.telemetry.raw"
GROWTH_MB = 64  # of a front that holds what it cannot send: far below what its queues may take
FULL_DEADLINE_S = 60
# For acknowledgements that were on their way to devices and, by the fleet's figures of each second, to us.
ON_THEIR_WAY_S = 5


async def _alter(world, *change: str) -> None:
    await world.kafka.tool("kafka.admin.ConfigCommand", "--alter", "--entity-type", "topics", "--entity-name", RAW, *change)


class BrokerKilled(Fault):
    number, name = 7, "one Kafka broker of three is killed"
    how = "SIGKILL, then started again"
    expects = "refused for an election at most"
    hold_s, least_brokers = 20, 3

    async def inject(self, world, dice: random.Random) -> None:
        process = dice.choice(world.kafka.processes)
        process.kill_group()
        await process.ended()

    async def heal(self, world) -> None:
        await world.restart(world.kafka)

    async def verify(self, world, since: float, healed: float) -> None:
        self.claim("messages are acknowledged without it", world.fleet.acknowledged(since + 12, healed) > 0)


class KafkaKilled(Fault):
    number, name = 7, "all of Kafka is killed"
    how = "SIGKILL of every broker, then started again"
    expects = "nothing is acknowledged, memory is flat"
    hold_s = 9

    async def inject(self, world, dice: random.Random) -> None:
        self.before = [front.usage() for front in world.fronts]
        for process in world.kafka.processes:
            process.kill_group()
        await asyncio.gather(*(process.ended() for process in world.kafka.processes))

    async def hold(self, world, seconds: float) -> None:
        await asyncio.sleep(ON_THEIR_WAY_S)
        before = world.fleet.update()["acknowledged"]
        await asyncio.sleep(max(2, seconds - ON_THEIR_WAY_S))
        self.claim("nothing is acknowledged", world.fleet.update()["acknowledged"] == before)
        growth = [after.rss_mb - before.rss_mb for after, before in zip((front.usage() for front in world.fronts), self.before) if after and before]
        self.claim("the fronts' memory is flat", max(growth) < GROWTH_MB, f"{max(growth):.0f} MB more")

    async def heal(self, world) -> None:
        await world.restart(world.kafka)


class KafkaFrozen(Fault):
    number, name = 8, "Kafka is frozen"
    how = "SIGSTOP of every broker, SIGCONT"
    expects = "no time-out becomes an acknowledgement"
    hold_s = 6

    async def inject(self, world, dice: random.Random) -> None:
        for process in world.kafka.processes:
            os.kill(process.pid, signal.SIGSTOP)

    async def heal(self, world) -> None:
        await world.restart(world.kafka)


class KafkaSlow(Fault):
    number, name = 8, "Kafka answers slowly"
    how = "proxies delay its answers to the fronts by 0.5 s, then 3 s"
    expects = "acknowledgements are as slow, and none is false"
    hold_s = 12

    async def inject(self, world, dice: random.Random) -> None:
        await tell_all(world.proxies("FRONTS"), "delay down 500ms 100ms")

    async def hold(self, world, seconds: float) -> None:
        await asyncio.sleep(seconds / 2)
        await tell_all(world.proxies("FRONTS"), "delay down 3000ms")
        await asyncio.sleep(seconds / 2)

    async def heal(self, world) -> None:
        await tell_all(world.proxies("FRONTS"), "heal")

    async def verify(self, world, since: float, healed: float) -> None:
        self.claim("messages are acknowledged all the same", world.fleet.acknowledged(since, healed) > 0)
        slowest = max(moment["p99_ms"] for moment in world.fleet.moments if since <= moment["at"] <= healed + 2)
        self.claim("acknowledgements are as slow as Kafka", slowest >= 400, f"p99 {slowest:.0f} ms")


class NotEnoughReplicas(Fault):
    number, name = 9, "Kafka has too few replicas in sync"
    how = "telemetry.raw needs all replicas (min.insync.replicas), one broker is killed"
    expects = "publishes are refused, none is acknowledged"
    hold_s, least_brokers = 16, 3

    async def inject(self, world, dice: random.Random) -> None:
        await _alter(world, "--add-config", f"min.insync.replicas={world.brokers}")
        self.refused = sum([total(await front.scrape(), "sluice_mqtt_not_stored_total") for front in world.fronts])
        process = dice.choice(world.kafka.processes)
        process.kill_group()
        await process.ended()

    async def hold(self, world, seconds: float) -> None:
        await asyncio.sleep(ON_THEIR_WAY_S)
        before = world.fleet.update()["acknowledged"]
        await asyncio.sleep(max(2, seconds - ON_THEIR_WAY_S))
        self.claim("none is acknowledged", world.fleet.update()["acknowledged"] == before)
        refused = sum([total(await front.scrape(), "sluice_mqtt_not_stored_total") for front in world.fronts]) - self.refused
        self.claim("publishes are refused", refused > 0, f"{refused:.0f} answered not_stored")

    async def heal(self, world) -> None:
        await world.restart(world.kafka)
        await _alter(world, "--delete-config", "min.insync.replicas")


class RepliesLost(Fault):
    number, name = 10, "what Kafka has stored is not told to the fronts"
    how = "proxies swallow its answers beyond the delivery timeout, then reset"
    expects = "refused or sent again; one row in the tables"
    hold_s = 14

    async def inject(self, world, dice: random.Random) -> None:
        await tell_all(world.proxies("FRONTS"), "drop down on")

    async def heal(self, world) -> None:
        await tell_all(world.proxies("FRONTS"), "drop down off", "reset", "heal")


class KafkaDiskFull(Fault):
    number, name = 11, "the disk of a Kafka broker is full"
    how = "its log folder is a small tmpfs, which is filled; made free, the broker is started again"
    expects = "what it could not store was never acknowledged; our services need no restart"
    hold_s, needs_disk = 5, True
    budget_s = 120

    async def inject(self, world, dice: random.Random) -> None:
        ballast = world.disk("kafka") / BALLAST
        await asyncio.to_thread(fill, ballast)
        process = world.kafka.processes[0]
        # A broker whose only log folder fails goes; one with nothing to append may live.
        gone = await becomes(lambda: not process.running, FULL_DEADLINE_S)
        self.seen.append("the broker ended" if gone else "the broker lived")

    async def heal(self, world) -> None:
        (world.disk("kafka") / BALLAST).unlink(missing_ok=True)
        process = world.kafka.processes[0]
        if process.running:  # it may have given up its log folder, which it does not take back
            await process.stop(at_once=True)
        await world.restart(world.kafka)


def fill(ballast) -> None:
    """Takes all the space there is."""
    block = bytes(1 << 20)
    with open(ballast, "wb", buffering=0) as file:
        try:
            while True:
                if file.write(block) < len(block):
                    return
        except OSError:
            return
