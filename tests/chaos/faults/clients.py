"""Faults that clients are: slow, gone without a word, and sending what nobody can use."""

import asyncio
import gzip
import json
import random
import time

from .base import Fault, becomes
from member import total
from mqtt import connect_packet
from parts.process import LOOPBACK, free_port
from proxy import Proxy

# TLS handshake or CONNECT 5 s each, head of a request 5 s: and a machine that has other things to do.
CLOSED_WITHIN_S = 25
WILL_WITHIN_S = 30


class SlowLoris(Fault):
    number, name = 24, "clients that send a byte a second"
    how = "100 connections with a CONNECT, 50 with the head of a request, byte by byte"
    expects = "closed by deadline, memory bounded, others unharmed"
    hold_s = 0

    async def _drip(self, port: int, data: bytes) -> float | None:
        """Seconds until the server had enough; None where it never had."""
        began = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
        except OSError:
            return 0.0
        try:
            for byte in data:
                writer.write(bytes([byte]))
                try:
                    # Data that comes is an answer; the end is what we wait for.
                    if await asyncio.wait_for(reader.read(1), 1) == b"":
                        return time.monotonic() - began
                except TimeoutError:
                    pass
                except ConnectionError:
                    return time.monotonic() - began
                if time.monotonic() - began > CLOSED_WITHIN_S:
                    return None
            return None
        finally:
            writer.close()

    async def inject(self, world, dice: random.Random) -> None:
        self.before = world.fronts[0].usage()
        head = b"GET /v1/devices HTTP/1.1\r\nHost: localhost\r\n" + b"X-Slow: " + b"a" * 1000
        connect = connect_packet(world.prober[0], "x" * 400)
        self.drips = asyncio.gather(*(self._drip(world.fronts[0].ports["mqtt"], connect) for _ in range(100)),
                                    *(self._drip(world.registry.ports["http"], head) for _ in range(50)))
        client = world.client(world.fronts[0])
        try:
            began = time.monotonic()
            self.claim("a good client is let in among them", await client.connect() == 0, f"after {time.monotonic() - began:.1f} s")
        finally:
            await client.close()

    async def heal(self, world) -> None:
        times = await self.drips
        self.claim("all are closed by deadline", None not in times, f"the last after {max(one or CLOSED_WITHIN_S for one in times):.0f} s")
        after = world.fronts[0].usage()
        if self.before and after:
            self.claim("memory is bounded", after.rss_mb - self.before.rss_mb < 64, f"{after.rss_mb - self.before.rss_mb:.0f} MB more")


class HalfOpenPeer(Fault):
    number, name = 25, "a client is gone without a word"
    how = "a proxy freezes the connection of a client with a keep-alive of 2 s and a will"
    expects = "gone at 1.5 keep-alives, its will published once"
    hold_s = 5

    async def inject(self, world, dice: random.Random) -> None:
        front = dice.choice(world.fronts)
        self.proxy = Proxy(world.binaries / "sluice-fault-proxy", "a client", free_port(), front.address("mqtt"))
        await self.proxy.start()
        self.client = world.client(front, int(self.proxy.address.rpartition(":")[2]))
        self.last_words = dice.randrange(1 << 30)
        will = world.prober_topic, json.dumps({"metrics": {"last_words": self.last_words}}).encode()
        code = await self.client.connect(keep_alive=2, will=will)
        self.claim("it is let in", code == 0, f"code {code}")
        world.prober_published += 1
        await self.proxy.tell("freeze both")

    async def _wills(self, world) -> int:
        return sum(point[1] == self.last_words for point in await world.samples("last_words"))

    async def heal(self, world) -> None:
        pass

    async def verify(self, world, since: float, healed: float) -> None:
        async def is_there() -> bool:
            return await self._wills(world) > 0
        self.claim("its will is published once", await becomes(is_there, WILL_WITHIN_S) and await self._wills(world) == 1)
        await self.client.close()
        await self.proxy.stop()


class PoisonMessages(Fault):
    number, name = 28, "messages that no validator can make sense of"
    how = "a device publishes 60 broken payloads; garbage is appended to telemetry.raw and telemetry.valid"
    expects = "set aside with their reasons; nobody else waits"
    hold_s = 3

    @staticmethod
    def payloads() -> list[tuple[bytes, str]]:
        deep = b'{"metrics":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}"
        return [(b"\x00\xff\xfe\x80" * 50, ""), (b'{"metrics":', ""), (deep, ""), (b'{"metrics":{"a":1e999}}', ""), (b"[]" * 1000, ""),
                (b"\x82" * 200, "application/cbor"), (b"\x0a\xff\xff\xff\xff\x0f", "application/x-protobuf"), (b'{"metrics":{"\xc3\x28":1}}', ""),
                (gzip.compress(b"a" * 4_000_000), "application/json+gzip"), (b"{}", "application/unheard-of")]

    async def _rejected(self, world) -> float:
        return sum([total(await member.scrape(), "sluice_validator_rejected_total") for member in world.of("schema-validator")])

    async def inject(self, world, dice: random.Random) -> None:
        self.before = await self._rejected(world)
        client = world.client(world.busiest_front())
        await client.connect()
        broken = [dice.choice(self.payloads()) for _ in range(60)]
        codes = [await client.publish(world.prober_topic, payload, kind) for payload, kind in broken]
        await client.close()
        self.stored = codes.count(0)
        world.prober_published += len(codes)
        self.claim("the front takes them, which knows nothing of payloads", self.stored == len(codes), f"{self.stored} of {len(codes)}")
        garbage = b"".join(bytes(dice.randrange(32, 127) for _ in range(80)) + b"\n" for _ in range(20))
        for topic in ("telemetry.raw", "telemetry.valid"):
            await world.kafka.tool("org.apache.kafka.tools.ConsoleProducer", "--topic", f"sluice.{topic}", stdin=garbage)

    async def heal(self, world) -> None:
        pass

    async def verify(self, world, since: float, healed: float) -> None:
        async def set_aside() -> bool:
            return await self._rejected(world) - self.before >= self.stored
        self.claim("they are in telemetry.rejected", await becomes(set_aside), f"{await self._rejected(world) - self.before:.0f} in all, {self.stored} of them")
        gap = world.fleet.longest_gap(since, healed)
        self.claim("the fleet's messages are acknowledged meanwhile", gap < 10, f"longest gap {gap:.0f} s")


class TooLargePayloads(Fault):
    number, name = 27, "payloads over the limit"
    how = "a device publishes good messages and, between them, some above max_payload"
    expects = "0x97 for those, and nothing of them anywhere"
    hold_s = 0
    GOOD, TOO_LARGE = 10, 5

    async def inject(self, world, dice: random.Random) -> None:
        client = world.client(world.busiest_front())
        await client.connect()
        self.marks = [dice.randrange(1 << 30) for _ in range(self.GOOD)]
        codes = []
        for number, mark in enumerate(self.marks):
            good = json.dumps({"metrics": {"within": mark}, "ts": int(time.time() * 1000) + number}).encode()
            self.claim("one within is acknowledged", await client.publish(world.prober_topic, good) == 0)
            if number < self.TOO_LARGE:
                large = json.dumps({"metrics": {"beyond": mark}, "pad": "x" * 140_000}).encode()
                codes.append(await client.publish(world.prober_topic, large))
        await client.close()
        world.prober_published += self.GOOD
        self.claim("those beyond are answered 0x97", codes == [0x97] * self.TOO_LARGE, codes)

    async def heal(self, world) -> None:
        pass

    async def verify(self, world, since: float, healed: float) -> None:
        async def are_there() -> bool:
            return {point[1] for point in await world.samples("within")} >= set(self.marks)
        self.claim("those within are stored", await becomes(are_there, 30))
        self.claim("nothing of those beyond is stored", await world.samples("beyond") == [])
