"""Redis: a single server, and a cluster of three masters for the tests of redirects."""

import asyncio
from pathlib import Path

from .cache import Cache
from .process import LOOPBACK, Process, free_port, secret, write_secret

SLOTS = 16384


async def _command(port: int, *words, password: str = "") -> bytes | None:
    """One command's answer as it is on the wire, or None while the server is not there."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), 2)
    except (OSError, TimeoutError):
        return None
    try:
        for line in ([("AUTH", password)] if password else []) + [words, ("QUIT",)]:
            writer.write(b"*%d\r\n" % len(line) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in (str(w).encode() for w in line)))
        return await asyncio.wait_for(reader.read(), 5)
    except (OSError, TimeoutError):
        return None
    finally:
        writer.close()


def _server(name: str, port: int, folder: Path, log: Path, *options) -> Process:
    folder.mkdir(parents=True, exist_ok=True)
    return Process(name, ["redis-server", "--bind", LOOPBACK, "--port", port, "--dir", folder, "--save", "", "--daemonize", "no",
                          "--maxmemory", "256mb", "--maxmemory-policy", "noeviction", *options], log=log)


class Redis:
    name = "redis"

    def __init__(self, data: Path, cache: Cache, *, durable: bool):
        self._data, self._logs, self._durable = data / "redis", data / "log", durable
        self.password_file = data / "secrets" / "redis"
        self.processes: list[Process] = []
        self._port, self._password = 0, ""

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self._port}"

    async def start(self) -> str:
        self._port = free_port()
        password, options = "", []
        if self._durable:
            # What is kept is also guarded; the tests' server is nobody's and goes with the test.
            password = secret(self.password_file).read_text()
            settings = write_secret(self._data / "redis.conf", f"requirepass {password}\nappendonly yes\n".encode())
            process = _server("redis", self._port, self._data, self._logs / "redis.log")
            process.argv.insert(1, str(settings))
        else:
            process = _server("redis", self._port, self._data, self._logs / "redis.log")
        self._password = password
        self.processes.append(process)
        await process.start()
        await process.until(self.is_ready)
        return f"{LOOPBACK}:{self._port}"

    async def is_ready(self) -> bool:
        return b"+PONG" in (await self.command("PING") or b"")

    async def command(self, *words) -> bytes | None:
        """A command's answer as it is on the wire, or None while the server is not there."""
        return await _command(self._port, *words, password=self._password)

    async def stop(self, *, at_once: bool) -> None:
        for process in self.processes:
            await process.stop(at_once=at_once)

    def environment(self) -> dict:
        return {"REDIS_URL": self.url}


class RedisCluster:
    name = "redis-cluster"

    def __init__(self, data: Path, cache: Cache, *, nodes: int = 3):
        self._data, self._logs, self._nodes = data / "redis-cluster", data / "log", nodes
        self.processes: list[Process] = []
        self._ports: list[int] = []

    async def start(self) -> str:
        for index in range(self._nodes):
            port, bus = free_port(), free_port()
            process = _server(f"redis-cluster-{index}", port, self._data / str(index), self._logs / f"redis-cluster-{index}.log",
                              "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", 2000)
            self._ports.append(port)
            self.processes.append(process)
            await process.start()
            await process.until(lambda port=port: self._answers(port))
            first, last = index * SLOTS // self._nodes, (index + 1) * SLOTS // self._nodes - 1
            await _command(port, "CLUSTER", "ADDSLOTSRANGE", first, last)
            # A node must come to the meeting with an epoch of its own: equal ones make the nodes quarrel about slots.
            await _command(port, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
            if index > 0:
                await _command(self._ports[0], "CLUSTER", "MEET", LOOPBACK, port, bus)
        for port, process in zip(self._ports, self.processes):
            await process.until(lambda port=port: self._complete(port))
        return ",".join(f"{LOOPBACK}:{port}" for port in self._ports)

    @staticmethod
    async def _answers(port: int) -> bool:
        return b"+PONG" in (await _command(port, "PING") or b"")

    async def _complete(self, port: int) -> bool:
        answer = await _command(port, "CLUSTER", "INFO") or b""
        return b"cluster_state:ok" in answer and b"cluster_known_nodes:%d" % self._nodes in answer

    async def stop(self, *, at_once: bool) -> None:
        await asyncio.gather(*(process.stop(at_once=at_once) for process in self.processes))

    def environment(self) -> dict:
        return {"REDIS_CLUSTER": ",".join(f"{LOOPBACK}:{port}" for port in self._ports)}
