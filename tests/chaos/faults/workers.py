"""Faults of validators and writers: what stands between Kafka and the tables."""

import asyncio
import random

from .base import Fault
from parts.process import Failure

CRASH_DEADLINE_S = 90


class _DiesAtPoint(Fault):
    number = 4
    service = point = ""
    hold_s = 2

    async def inject(self, world, dice: random.Random) -> None:
        self.member = dice.choice(world.of(self.service))
        await self.member.stop()
        armed = f"{self.point}:{dice.randrange(1, 6)}"
        # Not start(): it may die before it is seen ready.
        await self.member.launch(SLUICE_CRASH_POINT=armed)
        status = await self.member.dies(CRASH_DEADLINE_S)
        self.claim("it dies at the crash point", status == -9, f"status {status} at {armed}")
        self.seen.append(armed)

    async def heal(self, world) -> None:
        await self.member.kill()
        await self.member.start()


class ValidatorDies(_DiesAtPoint):
    name = "a validator dies in the middle of a batch"
    service, point = "schema-validator", "validator_after_output"
    how = "restarted, crash point validator_after_output: in Kafka, its offset not committed"
    expects = "verdicts may be repeated, none is missing"


class WriterDiesBeforeCommit(_DiesAtPoint):
    name = "a writer dies before its commit"
    service, point = "tsdb-writer", "tsdb_writer_after_copy"
    how = "restarted, crash point tsdb_writer_after_copy: rows sent, transaction open"
    expects = "the batch is written by whoever gets its partitions"


class WriterDiesAfterCommit(_DiesAtPoint):
    name = "a writer dies after its commit"
    service, point = "tsdb-writer", "tsdb_writer_after_commit"
    how = "restarted, crash point tsdb_writer_after_commit: it never learns of it"
    expects = "nothing is written twice"


class WorkersKilled(Fault):
    number, name = 4, "a validator and a writer are killed at once"
    how = "SIGKILL of one each, at a seeded moment"
    expects = "their partitions go to others or wait for them"
    hold_s = 3

    async def inject(self, world, dice: random.Random) -> None:
        await asyncio.sleep(dice.random())
        self.members = [dice.choice(world.of(service)) for service in ("schema-validator", "tsdb-writer")]
        await asyncio.gather(*(member.kill() for member in self.members))

    async def heal(self, world) -> None:
        await asyncio.gather(*(member.start() for member in self.members))


class RebalanceStorm(Fault):
    number, name = 13, "consumer groups rebalance without end"
    how = "every 3 s a validator or a writer is killed or restarted, in turn"
    expects = "lag returns, order is kept"
    hold_s = 15

    async def inject(self, world, dice: random.Random) -> None:
        self._dice = dice

    async def hold(self, world, seconds: float) -> None:
        workers = world.of("schema-validator") + world.of("tsdb-writer")
        for turn in range(max(2, round(seconds / 3))):
            member = workers[turn % len(workers)]
            await (member.kill() if self._dice.random() < 0.5 else member.stop())
            await member.start()
            await asyncio.sleep(1)
        self.seen.append(f"{max(2, round(seconds / 3))} restarts")

    async def heal(self, world) -> None:
        await world.revive()


class TopicsReplayed(Fault):
    number, name = 29, "both topics are read again from their beginning"
    how = "offsets of the validators' group set to the start; positions of the writers set to 0"
    expects = "stored samples are the same before and after, to the bit"
    hold_s = 0
    budget_s = 120

    async def _stored(self, world) -> list:
        answers = []
        for device in self.devices:
            path = f"/v1/devices/{device}/metrics?from={self.window[0]}&to={self.window[1]}&resolution=raw"
            status, body = await world.ask(world.of("tsdb-writer")[0], path)
            if status != 200:
                raise Failure(f"the query API answered {status} of {device}")
            answers.append([(series["metric"], series["points"]) for series in body["series"]])
        return answers

    async def inject(self, world, dice: random.Random) -> None:
        moments = world.fleet.moments
        lines = world.devices_file.read_text().splitlines()
        self.devices = [line.split(",")[2] for line in dice.sample(lines, 5)]
        # Up to a moment that is stored for sure.
        self.window = int(moments[0]["at"] * 1000) - 60_000, int(moments[-1]["at"] * 1000) - 15_000
        self.before = await self._stored(world)
        validators, writers = world.of("schema-validator"), world.of("tsdb-writer")
        await asyncio.gather(*(member.stop() for member in validators + writers))
        await world.kafka.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--group", "sluice.schema-validator",
                               "--topic", "sluice.telemetry.raw", "--reset-offsets", "--to-earliest", "--execute")
        await world.postgres.sql("sluice", "update tsdb.offsets set next_offset = 0")
        await asyncio.gather(*(member.start() for member in validators + writers))

    async def heal(self, world) -> None:
        await world.revive()

    async def verify(self, world, since: float, healed: float) -> None:
        after = await self._stored(world)
        count = sum(len(points) for answer in self.before for _, points in answer)
        self.claim("stored samples are the same before and after", after == self.before and count > 0, f"{count} samples of {len(self.devices)} devices")
