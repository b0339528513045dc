"""The real platform under test: Kafka, PostgreSQL and Redis behind proxies, our services twice each, a fleet, a device of our own."""

import asyncio
import json
import os
import signal
import subprocess
import time
import urllib.error
from pathlib import Path

from fleet import Fleet
from member import Member, total
from mqtt import Client
from parts.authority import Authority
from parts.cache import Cache
from parts.kafka import Kafka
from parts.postgres import Postgres
from parts.process import LOOPBACK, Failure, free_port, say
from parts.redis import Redis
from parts.rest import Api, Refused
from proxy import Proxy, tell_all
from run import declared_settings
from setting_up import DOORS, TENANT, register, settings_for
from stack import services

# Small file systems under what writes, to be filled: what a run of ten minutes needs, and not much more.
DISK_MB = {"kafka": 800, "postgres": 800}
BALLAST = "ballast"
# When everything is as before a fault: most are connected (some are always away), few wait for an answer, nobody is behind.
CONNECTED_SHARE, LAG_S = 0.8, 2.0
READERS = {"schema-validator": "telemetry.raw", "tsdb-writer": "telemetry.valid"}
WARM_UPS, WARM_UP_S, WARM_MS = 10, 3, 2000
RESTARTS = 15  # attempts to start a part anew


class World:
    def __init__(self, data: Path, binaries: Path, *, brokers: int, workers: int, devices: int, rate: float, seed: int):
        self.data, self.binaries, self.brokers, self.devices, self.rate, self.seed = data, binaries, brokers, devices, rate, seed
        cache = Cache()
        self._proxy_ports = {door: [free_port() for _ in range(brokers)] for door in DOORS}
        self._own_ports = {door: [free_port() for _ in range(brokers)] for door in DOORS}
        doors = [[(door, self._own_ports[door][node], self._proxy_ports[door][node]) for door in DOORS] for node in range(brokers)]
        self.kafka = Kafka(data, cache, brokers=brokers, doors=doors)
        self.postgres = Postgres(data, cache, services=services(), durable=True, environment={
            "LD_PRELOAD": str(binaries / "sluice-failing-disk.so"), "SLUICE_FAILING_DISK": str(data / "postgres")})
        self.redis = Redis(data, cache, durable=True)
        self.authority = Authority(data / "tls")
        self._proxies: dict[str, list[Proxy]] = {}
        self._counts = {"device-registry": 1, "mqtt-front": 2, "schema-validator": workers, "tsdb-writer": workers}
        self.members: list[Member] = []
        self.fleet: Fleet | None = None
        self.steady_s = 3.0  # how long all must be well to count as recovered
        self.devices_file = Path()
        self.prober: tuple[str, str] = ("", "")  # device and token
        self.prober_published = 0
        self.deaths: list[str] = []  # that nobody had ordered
        self._has_disks = False
        self._partitions: dict[str, float] = {}  # of those topics, all of them
        self._watcher: asyncio.Task | None = None

    # --- Parts

    def of(self, service: str) -> list[Member]:
        return [member for member in self.members if member.service == service]

    @property
    def fronts(self) -> list[Member]:
        return self.of("mqtt-front")

    @property
    def registry(self) -> Member:
        return self.of("device-registry")[0]

    def proxies(self, name: str) -> list[Proxy]:
        """Before "FRONTS" and "WORKERS" of Kafka, "postgres" and "redis"."""
        return self._proxies[name]

    def busiest_front(self) -> Member:
        return max((one for one in self.fronts if one.is_running), key=lambda one: total(one.counters, "sluice_mqtt_connections"))

    def disk(self, name: str) -> Path:
        return self.data / name / "broker-1" if name == "kafka" else self.data / name

    def fail_disk(self, how: str) -> None:
        """PostgreSQL's: "fsync" or "read-only", as sluice-failing-disk knows them; empty heals it."""
        orders = self.disk("postgres").with_suffix(".fails")
        if how:
            orders.write_text(how)
        else:
            orders.unlink(missing_ok=True)

    @property
    def has_disks(self) -> bool:
        return self._has_disks

    @property
    def ca(self) -> Path:
        return self.authority.certificate

    @property
    def versions(self) -> dict[str, str]:
        def first_line(*argv) -> str:
            said = subprocess.run([str(word) for word in argv], capture_output=True, text=True, check=False)
            return (said.stdout or said.stderr).strip().splitlines()[0] if said.stdout or said.stderr else "unknown"

        # No `git` where there is no clone; a report says so.
        commit = first_line("git", "-C", Path(__file__).parent, "rev-parse", "--short", "HEAD")
        jar = next(iter(sorted(Cache().root.glob("kafka-*/lib/kafka-clients-*.jar"))), Path("unknown"))
        return {"commit": commit if len(commit) < 41 else "no repository", "kafka": jar.stem.removeprefix("kafka-clients-"),
                "postgres": first_line("/usr/lib/postgresql/17/bin/postgres", "--version"), "redis": first_line("redis-server", "--version")[:40]}

    # --- Beginning and end

    async def start(self) -> None:
        began = time.monotonic()
        await self._mount_disks()
        addresses = dict(zip(("kafka", "postgres", "redis"), await asyncio.gather(self.kafka.start(), self.postgres.start(), self.redis.start())))
        await self._start_proxies(addresses)
        await self.authority.start()
        await self._make_members()
        await self.registry.start()
        await asyncio.gather(*(member.start() for member in self.members if member is not self.registry))
        await asyncio.to_thread(register, self)
        await self._warm_up()
        self._watcher = asyncio.create_task(self._watch())
        say("chaos", f"{len(self.members)} processes and {self.devices} devices are ready after {time.monotonic() - began:.0f} s")

    async def _warm_up(self) -> None:
        """What is slow only once, as Kafka's first record of each partition is, must not look like a fault."""
        for attempt in range(WARM_UPS):
            options = self._fleet_options() | {"offline": 0, "seed": self.seed + 1 + attempt}
            fleet = Fleet(self.binaries / "sluice-sim", self.data / "warm-up", str(attempt), options, settle=0)
            await fleet.start()
            await asyncio.sleep(WARM_UP_S)
            await fleet.finish()
            if fleet.report["puback_ms"]["p99"] < WARM_MS:
                return
        raise Failure(f"acknowledgements take {fleet.report['puback_ms']['p99']:.0f} ms on this machine, even without faults")

    async def _mount_disks(self) -> None:
        for name, size in DISK_MB.items():
            folder = self.disk(name)
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            mounted = await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=0700", "none", folder], capture_output=True)
            if mounted.returncode != 0:
                return  # in a container without the right to: faults of full disks say so
        self._has_disks = True

    async def _start_proxies(self, addresses: dict[str, str]) -> None:
        program = self.binaries / "sluice-fault-proxy"
        for name in ("postgres", "redis"):
            self._proxies[name] = [Proxy(program, name, free_port(), addresses[name])]
        for door in DOORS:
            self._proxies[door] = [Proxy(program, f"kafka ({door.lower()})", proxy_port, f"{LOOPBACK}:{port}")
                                   for proxy_port, port in zip(self._proxy_ports[door], self._own_ports[door])]
        await asyncio.gather(*(proxy.start() for proxies in self._proxies.values() for proxy in proxies))

    async def _make_members(self) -> None:
        for service, count in self._counts.items():
            binary = self.binaries / service
            settings = await declared_settings(binary)
            for number in range(1, count + 1):
                self.members.append(Member(f"{service}-{number}" if count > 1 else service, service, binary, settings, self.data))
        for member in self.members:
            member.values = await settings_for(self, member)

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        if self.fleet is not None:
            await self.fleet.stop()
        await asyncio.gather(*(member.kill() for member in self.members))
        await asyncio.gather(*(part.stop(at_once=True) for part in (self.kafka, self.postgres, self.redis)))
        await asyncio.gather(*(proxy.stop() for proxies in self._proxies.values() for proxy in proxies))
        for name in DISK_MB:
            subprocess.run(["umount", "--lazy", self.disk(name)], capture_output=True, check=False)

    # --- Talking to it

    def key(self, tenant: str) -> str:
        return (self.data / "secrets" / f"{tenant}-key").read_text().strip()

    def api(self, member: Member) -> Api:
        return Api(f"https://{member.address('http')}", self.ca)

    async def ask(self, member: Member, path: str, *, tenant: str = TENANT) -> tuple[int, object]:
        """Status and body of a REST answer; status 0 where nothing answers."""
        def send():
            try:
                return 200, json.loads(self.api(member).send(self.key(tenant), "GET", path) or b"null")
            except Refused as refused:
                return refused.status, None
            except (urllib.error.URLError, OSError):
                return 0, None
        return await asyncio.to_thread(send)

    async def samples(self, metric: str) -> list:
        """What is stored of our own device, as (time, value)."""
        now = int(time.time() * 1000)
        path = f"/v1/devices/{self.prober[0]}/metrics?metric={metric}&from={now - 3_600_000}&to={now + 60_000}&resolution=raw"
        status, body = await self.ask(self.of("tsdb-writer")[0], path)
        return [point for series in body["series"] for point in series["points"]] if status == 200 else []

    def client(self, front: Member, port: int | None = None) -> Client:
        return Client(*self.prober, port or front.ports["mqtt"])

    @property
    def prober_topic(self) -> str:
        return f"tenant/{TENANT}/device/{self.prober[0]}/telemetry"

    # --- Watching and healing

    async def _watch(self) -> None:
        """Brings back what died without having been told to, as any orchestrator would, and keeps a note of it."""
        while True:
            await asyncio.gather(*(member.scrape() for member in self.members))
            for member in self.members:
                if member.is_running or member.may_be_down:
                    continue
                self.deaths.append(f"{member.name} ended with status {member.process.status}; {member.process.last_words()}")
                say("chaos", self.deaths[-1])
                await member.launch()
            await asyncio.sleep(0.5)

    async def revive(self, members: list[Member] | None = None) -> None:
        async def one(member: Member) -> None:
            member.thaw()
            if not member.is_running:
                await member.launch()
            await member.process.until(member.is_ready, 90)
        await asyncio.gather(*(one(member) for member in members or self.members))

    async def heal(self) -> None:
        """Whatever a fault left behind."""
        for proxies in self._proxies.values():
            await tell_all(proxies, "heal")
        for name in DISK_MB:
            (self.disk(name) / BALLAST).unlink(missing_ok=True)
        self.fail_disk("")
        for part in (self.kafka, self.postgres, self.redis):
            await self.restart(part)
        await self.promote_postgres()
        await self.revive()

    async def promote_postgres(self) -> None:
        """Lets it take writes again, where it does not."""
        await self.postgres.sql("postgres", "select pg_promote() where pg_is_in_recovery();")

    async def restart(self, part) -> None:
        """A part's processes that are dead begin anew, those that are frozen go on."""
        async def launch(process) -> None:
            process.log = process.log.with_name(f"{process.name}.{time.monotonic():.1f}.log")
            await process.start()

        for process in part.processes:
            if process.running:
                os.kill(process.pid, signal.SIGCONT)
            else:
                await launch(process)
        for index, process in enumerate(part.processes):
            for attempt in range(RESTARTS):
                try:
                    await (self.kafka.until_ready(index) if part is self.kafka else process.until(part.is_ready, 90))
                    break
                except Failure:
                    # What its predecessor left, as shared memory until the last backend is gone, may be in its way for a moment.
                    if process.running or attempt == RESTARTS - 1:
                        raise
                    await asyncio.sleep(1)
                    await launch(process)

    def consumed(self, metric: str) -> dict[str, float]:
        """A figure of what validators and writers read, summed over those that run."""
        return {service: sum(total(member.counters, f"sluice_kafka_consumer_{metric}", topic) for member in self.of(service) if member.is_running)
                for service, topic in READERS.items()}

    async def until_idle(self) -> None:
        """Waits until everything that was published is in the tables or set aside, and is seen in the counters."""
        async with asyncio.timeout(120):
            calm = 0
            while calm < 4:
                await asyncio.sleep(0.5)
                await asyncio.gather(*(member.scrape() for member in self.members))
                calm = calm + 1 if not any(self.consumed("lag_records").values()) else 0

    def what_is_wrong(self) -> str:
        """Why it is not yet as before; empty when it is."""
        moment = self.fleet.update()
        if moment["connected"] < CONNECTED_SHARE * self.devices:
            return f"{moment['connected']} of {self.devices} devices are connected"
        if moment["unanswered"] > max(5, self.devices * self.rate * LAG_S):
            return f"{moment['unanswered']} publishes are unanswered"
        for service, count in self.consumed("partitions").items():
            if count != self._partitions.get(service, count):
                return f"{count:.0f} partitions of {self._partitions[service]:.0f} are read by {service}"
        for service, count in self.consumed("lag_records").items():
            if count > max(20, self.devices * self.rate * LAG_S):
                return f"{service} is {count:.0f} records behind"
        return ""

    async def until_recovered(self, deadline: float) -> tuple[float, str]:
        """Seconds until everything is as before, and stays so for a while; and what is wrong when that is too many."""
        began, good_since = time.monotonic(), None
        while True:
            if self._watcher.done():
                self._watcher.result()  # raises what ended it
            wrong = self.what_is_wrong()
            ready = await asyncio.gather(*(member.is_ready() for member in self.members))
            if not all(ready):
                wrong = ", ".join(member.name for member, is_ready in zip(self.members, ready) if not is_ready) + " is not ready"
            now = time.monotonic()
            good_since = None if wrong else good_since or now
            if good_since is not None and now - good_since >= self.steady_s:
                return good_since - began, ""
            if now - began > deadline:
                return now - began, wrong or "it is not steady"
            await asyncio.sleep(0.25)

    # --- The fleet

    def _fleet_options(self) -> dict:
        return {"devices": self.devices_file, "mqtt": ",".join(front.address("mqtt") for front in self.fronts),
                "mqtts": ",".join(front.address("mqtts") for front in self.fronts), "ca": self.ca, "seed": self.seed, "rate": self.rate}

    async def begin_fleet(self, folder: Path, name: str, *, settle: float, is_quiet: bool) -> None:
        """`is_quiet`: devices that never go away by themselves, so that whatever is there twice is a fault."""
        writer = self.of("tsdb-writer")[0]
        options = self._fleet_options() | {
            "bad": 0.02, "patience": 5, "brokers": self.kafka.address, "verdicts": True, "query": f"https://{writer.address('http')}",
            "query-ca": self.ca, "query-key": self.data / "secrets" / f"{TENANT}-key"}
        options |= {"offline": 0, "repeated": 0, "patience": 0, "no-duplicates": True} if is_quiet else {"offline": 0.2}
        self.fleet = Fleet(self.binaries / "sluice-sim", folder, name, options, settle=settle)
        await self.fleet.start()
        seconds, wrong = await self.until_recovered(120)
        if wrong:
            raise Failure(f"the fleet did not get going within {seconds:.0f} s: {wrong}")
        self._partitions = self._partitions or self.consumed("partitions")
