"""Apache Kafka in KRaft mode: one broker, or three that replicate; each is broker and controller at once."""

import asyncio
import base64
import hashlib
import os
import shutil
import struct
import tempfile
import uuid
from pathlib import Path

from .cache import Cache
from .process import LOOPBACK, Failure, Process, free_port, run, say

HERE = Path(__file__).resolve().parent.parent / "kafka"
POM, CHECKSUMS = HERE / "pom.xml", HERE / "jars.sha256"


def _checksums(folder: Path) -> str:
    """The jars and their hashes, as sha256sum prints them."""
    return "".join(f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n" for jar in sorted(folder.glob("*.jar")))


async def _download(folder: Path, cache: Cache) -> None:
    # Maven trusts what this machine trusts, not the list that came with Java.
    trust = folder / "trust.p12"
    await run(["openssl", "pkcs12", "-export", "-nokeys", "-in", "/etc/ssl/certs/ca-certificates.crt",
               "-jdktrust", "anyExtendedKeyUsage", "-out", trust, "-passout", "pass:public"], what="making a trust store")
    options = f"-Djavax.net.ssl.trustStore={trust} -Djavax.net.ssl.trustStorePassword=public"
    await run(["mvn", "--batch-mode", "--quiet", "--strict-checksums", "--file", POM, f"-Dmaven.repo.local={folder}/m2",
               "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}/lib"],
              what="fetching Kafka's jars", env=os.environ | {"MAVEN_OPTS": options, "HOME": str(cache.home)})
    await run(["rm", "-rf", folder / "m2", trust], what="tidying up")


async def renew_checksums(cache: Cache) -> None:
    """Takes the jars that the repositories hold for the pom now as the right ones; whoever commits that has looked."""
    folder = Path(tempfile.mkdtemp(prefix="kafka-", dir=cache.root))
    try:
        await _download(folder, cache)
        CHECKSUMS.write_text(_checksums(folder / "lib"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _java(home: Path) -> list:
    return ["java", "-Xms128m", "-Xmx512m", "-XX:MaxDirectMemorySize=128m", "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-cp", f"{home}/lib/*"]


async def installed(cache: Cache) -> Path:
    """The folder with the verified jars and the formatted start of a log folder."""
    wanted = CHECKSUMS.read_text()

    async def make(folder: Path) -> None:
        await _download(folder, cache)
        found = _checksums(folder / "lib")
        if found != wanted:
            odd = sorted(set(found.splitlines()) ^ set(wanted.splitlines()))
            raise Failure(f"Kafka's jars are not those of {CHECKSUMS}:\n" + "\n".join(odd))
        # Formatting a log folder costs a Java start, so it is done once; a stack copies the result.
        properties = folder / "format.properties"
        properties.write_text(_properties(Broker(1, 9092, 9093), [Broker(1, 9092, 9093)], folder / "format"))
        await run(_java(folder) + ["kafka.tools.StorageTool", "format", "--cluster-id", _kafka_uuid(),
                                                "--config", properties], what="formatting a Kafka log folder")

    return await cache.folder("kafka", POM.read_bytes() + wanted.encode() + b"1", make,
                              notice="fetching Apache Kafka (once, about 20 s)")


def _kafka_uuid() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class Broker:
    """`doors`: listeners beside the first, each with a name, its own port, and the port that its clients are told."""

    def __init__(self, node: int, port: int, controller_port: int, doors: list[tuple[str, int, int]] | None = None):
        self.node, self.port, self.controller_port, self.doors = node, port, controller_port, doors or []


def _properties(broker: Broker, brokers: list, logs: Path) -> str:
    replicas = len(brokers)
    in_sync = 2 if replicas >= 3 else 1
    voters = ",".join(f"{peer.node}@{LOOPBACK}:{peer.controller_port}" for peer in brokers)
    doors = "".join(f",{name}://{LOOPBACK}:{port}" for name, port, _ in broker.doors)
    told = "".join(f",{name}://{LOOPBACK}:{advertised}" for name, _, advertised in broker.doors)
    protocols = "".join(f",{name}:PLAINTEXT" for name, _, _ in broker.doors)
    return f"""\
process.roles=broker,controller
node.id={broker.node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{LOOPBACK}:{broker.port},CONTROLLER://{LOOPBACK}:{broker.controller_port}{doors}
advertised.listeners=PLAINTEXT://{LOOPBACK}:{broker.port}{told}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{protocols}
log.dirs={logs}
# Topics are made by the services with the partitions they need; a typing error must not make one.
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
# Small numbers: this is one machine that builds and tests at the same time.
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
num.network.threads=2
num.io.threads=4
background.threads=2
log.cleaner.dedupe.buffer.size=16777216
# A test must not wait three seconds for more members that never come.
group.initial.rebalance.delay.ms=0
# Elections and a fenced broker's return within a second rather than ten.
controller.quorum.election.timeout.ms=500
controller.quorum.fetch.timeout.ms=2000
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=500
controlled.shutdown.max.retries=1
"""


async def _brokers_alive(port: int) -> int:
    """How many brokers a broker knows to be in service: a Metadata request (version 1) without topics."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), 2)
    except (OSError, TimeoutError):
        return 0
    try:
        client = b"stack"
        request = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
        writer.write(struct.pack(">i", len(request)) + request)
        size, = struct.unpack(">i", await asyncio.wait_for(reader.readexactly(4), 2))
        answer = await asyncio.wait_for(reader.readexactly(size), 2)
        return struct.unpack_from(">i", answer, 4)[0]
    except (OSError, TimeoutError, asyncio.IncompleteReadError, struct.error):
        return 0
    finally:
        writer.close()


class Kafka:
    name = "kafka"

    def __init__(self, data: Path, cache: Cache, *, brokers: int = 1, doors: list[list[tuple[str, int, int]]] | None = None):
        """`doors`: of each broker, for clients that are to come through something, as tests of faults want it."""
        if brokers not in (1, 3):
            raise Failure(f"KAFKA_BROKERS is {brokers}; it can be 1 or 3")
        self._data = data / "kafka"
        self._logs, self._cache, self._count, self._doors = data / "log", cache, brokers, doors or [[]] * brokers
        self.processes: list[Process] = []
        self._brokers: list[Broker] = []
        self.address = ""

    def _format(self, template: Path, broker: Broker, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)  # it may be a file system of its own
        for file in (template / "format").iterdir():
            if file.name != "meta.properties" and file.is_file():
                (folder / file.name).write_bytes(file.read_bytes())
        (folder / "meta.properties").write_text(
            f"version=1\ncluster.id={self._cluster_id()}\nnode.id={broker.node}\ndirectory.id={_kafka_uuid()}\n")

    def _cluster_id(self) -> str:
        path = self._data / "cluster-id"
        if not path.exists():
            path.write_text(_kafka_uuid())
        return path.read_text()

    async def start(self) -> str:
        home = await installed(self._cache)
        self._data.mkdir(parents=True, exist_ok=True)
        brokers = [Broker(node, free_port(), free_port(), self._doors[node - 1]) for node in range(1, self._count + 1)]
        for broker in brokers:
            folder = self._data / f"broker-{broker.node}"
            if not (folder / "meta.properties").exists():
                self._format(home, broker, folder)
            properties = self._data / f"broker-{broker.node}.properties"
            properties.write_text(_properties(broker, brokers, folder))
            process = Process(f"kafka-{broker.node}", _java(home) + ["kafka.Kafka", properties],
                              log=self._logs / f"kafka-{broker.node}.log")
            self.processes.append(process)
            await process.start()
        self._brokers = brokers
        for index in range(self._count):
            await self.until_ready(index)
        self.address = ",".join(f"{LOOPBACK}:{broker.port}" for broker in brokers)
        return self.address

    async def until_ready(self, index: int) -> None:
        """Waits until a broker that was started sees all the others."""
        async def ready():
            return await _brokers_alive(self._brokers[index].port) == self._count
        await self.processes[index].until(ready, 90)

    async def tool(self, program: str, *arguments, stdin: bytes = b"") -> str:
        """What one of Kafka's own command line programs prints, given by its class."""
        home = await installed(self._cache)
        argv = _java(home) + [program, "--bootstrap-server", self.address, *arguments]
        return (await run(argv, what=program.rpartition(".")[2], stdin=stdin)).decode()

    async def stop(self, *, at_once: bool) -> None:
        await asyncio.gather(*(process.stop(at_once=at_once) for process in self.processes))

    def environment(self) -> dict:
        return {"KAFKA_BROKERS": self.address}
