"""Faults of PostgreSQL and Redis."""

import asyncio
import os
import random
import signal

from .base import Fault, becomes
from .kafka import fill
from member import total
from proxy import tell_all
from world import BALLAST


class _WithoutPostgres(Fault):
    number = 14
    expects = "connected devices go on; the registry answers 503"
    refuses = True

    async def hold(self, world, seconds: float) -> None:
        await asyncio.sleep(seconds / 2)
        if self.refuses:
            status, _ = await world.ask(world.registry, "/v1/devices?page_size=1")
            self.claim("the registry's REST answers 503", status == 503, f"status {status}")
        await asyncio.sleep(seconds / 2)

    async def verify(self, world, since: float, healed: float) -> None:
        self.claim("messages are acknowledged meanwhile", world.fleet.acknowledged(since + 1, healed) > 0)


class PostgresKilled(_WithoutPostgres):
    name = "PostgreSQL is killed"
    how = "SIGKILL of the server, then started again (it recovers)"
    hold_s = 8

    async def inject(self, world, dice: random.Random) -> None:
        process = world.postgres.processes[0]
        process.kill_group()
        await process.ended()

    async def heal(self, world) -> None:
        await world.restart(world.postgres)


class PostgresSlow(_WithoutPostgres):
    name = "PostgreSQL is slow"
    how = "a proxy delays both ways by 300 ms"
    expects = "connected devices go on; tables follow late"
    hold_s, refuses = 10, False

    async def inject(self, world, dice: random.Random) -> None:
        await tell_all(world.proxies("postgres"), "delay both 300ms 50ms")

    async def heal(self, world) -> None:
        await tell_all(world.proxies("postgres"), "heal")


class _WritesRefused(_WithoutPostgres):
    expects = "connected devices go on; writers wait"
    hold_s, refuses = 8, False

    async def _failures(self, world) -> float:
        return sum([total(await writer.scrape(), "sluice_tsdb_writer_flush_failures_total") for writer in world.of("tsdb-writer")])

    async def inject(self, world, dice: random.Random) -> None:
        self.failures = await self._failures(world)
        await self.refuse(world)

    async def refuse(self, world) -> None:
        raise NotImplementedError

    async def hold(self, world, seconds: float) -> None:
        await asyncio.sleep(seconds)

        async def failed() -> bool:
            return await self._failures(world) > self.failures
        self.claim("the writers' flushes fail", await becomes(failed))


class PostgresReadOnly(_WritesRefused):
    name = "PostgreSQL comes back read-only"
    how = "stopped, started as a standby (a failover that went half way), promoted later"

    async def refuse(self, world) -> None:
        await world.postgres.processes[0].stop()
        (world.disk("postgres") / "standby.signal").touch()
        await world.restart(world.postgres)

    async def heal(self, world) -> None:
        await world.promote_postgres()


class _DiskFails(_WritesRefused):
    number, needs_disk = 33, True
    expects = "no offset moves past what is stored; all goes on by itself"
    order = ""

    async def refuse(self, world) -> None:
        world.fail_disk(self.order)

    async def heal(self, world) -> None:
        world.fail_disk("")
        await _restart(self, world)


class PostgresFsyncFails(_DiskFails):
    name = "the writers' disk fails to sync"
    how = "fsync and fdatasync of PostgreSQL fail with EIO"
    order = "fsync"


class PostgresDiskReadOnly(_DiskFails):
    name = "the writers' disk turns read-only"
    how = "what PostgreSQL writes, and opens for it, fails with EROFS"
    order = "read-only"


async def _restart(fault: Fault, world) -> None:
    """Without a disk for its log PostgreSQL ends itself, and whoever runs it starts it again."""
    fault.seen.append("PostgreSQL lived" if world.postgres.processes[0].running else "PostgreSQL ended and was started again")
    await world.restart(world.postgres)


class PostgresDiskFull(_WithoutPostgres):
    number, name = 33, "the writers' disk is full"
    how = "PostgreSQL's folder is a small tmpfs, which is filled, then made free"
    expects = "no offset moves past what is stored; all goes on by itself"
    hold_s, needs_disk, refuses = 10, True, False

    async def inject(self, world, dice: random.Random) -> None:
        await asyncio.to_thread(fill, world.disk("postgres") / BALLAST)

    async def heal(self, world) -> None:
        (world.disk("postgres") / BALLAST).unlink(missing_ok=True)
        await _restart(self, world)


class _WithoutRedis(Fault):
    number = 16
    expects = "live sessions go on; who connects anew is refused or finds no session"

    async def verify(self, world, since: float, healed: float) -> None:
        self.claim("messages are acknowledged meanwhile", world.fleet.acknowledged(since + 1, healed) > 0)


class RedisKilled(_WithoutRedis):
    name = "Redis is killed"
    how = "SIGKILL, then started again from its log"
    hold_s = 8

    async def inject(self, world, dice: random.Random) -> None:
        process = world.redis.processes[0]
        process.kill_group()
        await process.ended()

    async def heal(self, world) -> None:
        await world.restart(world.redis)


class RedisFrozen(_WithoutRedis):
    name = "Redis is frozen"
    how = "SIGSTOP, SIGCONT"
    hold_s = 10

    async def inject(self, world, dice: random.Random) -> None:
        os.kill(world.redis.processes[0].pid, signal.SIGSTOP)

    async def heal(self, world) -> None:
        await world.restart(world.redis)


class RedisFlushed(Fault):
    number, name = 18, "Redis is flushed"
    how = "FLUSHALL, then a reboot of every device"
    expects = "session present 0 for all, no crash, no acknowledgement lost"
    hold_s = 4

    async def inject(self, world, dice: random.Random) -> None:
        self.losses = [total(await front.scrape(), "sluice_mqtt_session_store_data_losses_total") for front in world.fronts]
        await world.redis.command("FLUSHALL")

    async def heal(self, world) -> None:
        world.fleet.storm()

    async def verify(self, world, since: float, healed: float) -> None:
        async def noticed() -> bool:
            now = [total(await front.scrape(), "sluice_mqtt_session_store_data_losses_total") for front in world.fronts]
            return all(after > before for after, before in zip(now, self.losses))
        self.claim("both fronts have noticed that their sessions are gone", await becomes(noticed))
        self.claim("messages are acknowledged meanwhile", world.fleet.acknowledged(since, healed) > 0)
