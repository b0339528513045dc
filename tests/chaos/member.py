"""One process of one of our services, that dies and comes back where it was: its ports never change."""

import asyncio
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from parts.process import LOOPBACK, Process, free_port, http_ok

# Those that a chaos run uses; a service is given the ones it has.
LISTENERS = ("ops", "grpc", "http", "mqtt", "mqtts")
READY_DEADLINE_S = 90
STOP_DEADLINE_S = 60
SCRAPE_DEADLINE_S = 2

Counters = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Usage:
    rss_mb: float
    fds: int
    threads: int


def total(counters: Counters, name: str, label: str = "") -> float:
    """The sum over a metric's series whose labels contain that text."""
    return sum(value for (metric, labels), value in counters.items() if metric == name and label in labels)


async def get(port: int, path: str) -> str:
    """The body of an HTTP answer; empty where there is none in time."""
    try:
        async with asyncio.timeout(SCRAPE_DEADLINE_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                # Who is killed while it answers leaves half an answer, and half a number is another number.
                size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                is_whole = size is not None and int(size[1]) == len(body)
                return body.decode() if head.split()[1:2] == [b"200"] and is_whole else ""
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


def parse_metrics(text: str) -> Counters:
    counters: Counters = {}
    for line in text.splitlines():
        found = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
        if found:
            counters[found[1], found[2] or ""] = float(found[3])
    return counters


class Member:
    def __init__(self, name: str, service: str, binary: Path, settings: set[str], data: Path):
        self.name, self.service = name, service
        self._binary, self._settings, self._data = binary, settings, data
        self.ports = {listener: free_port() for listener in LISTENERS if f"{listener}_listen" in settings}
        self.values: dict[str, str] = {}  # settings, as they are decided; those that it does not have are left out
        self.always: dict[str, str] = {}  # environment of every life: a planted bug
        self.lives: list[Counters] = []  # what each life was last seen to have counted
        self.process: Process | None = None
        self.may_be_down = True  # its death is the fault's doing
        self._is_frozen = False

    def address(self, listener: str) -> str:
        return f"{LOOPBACK}:{self.ports[listener]}"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.running

    @property
    def counters(self) -> Counters:
        return self.lives[-1] if self.lives else {}

    async def launch(self, **environment: str) -> None:
        """A new life, with variables for this one alone."""
        variables = {key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")}
        listens = {f"{listener}_listen": self.address(listener) for listener in self.ports}
        for setting, value in (self.values | listens).items():
            if setting in self._settings:
                variables["SLUICE_" + setting.upper()] = value
        self.lives.append({})
        self.process = Process(self.name, [self._binary], log=self._data / "log" / f"{self.name}.{len(self.lives)}.log",
                               env=variables | self.always | environment, stop_deadline=STOP_DEADLINE_S)
        self.may_be_down, self._is_frozen = False, False
        await self.process.start()

    async def start(self, **environment: str) -> None:
        await self.launch(**environment)
        await self.process.until(self.is_ready, READY_DEADLINE_S)

    async def is_ready(self) -> bool:
        return self.is_running and await http_ok(self.ports["ops"], "/readyz")

    async def kill(self) -> None:
        self.may_be_down = True
        if self.is_running:
            await self.scrape()
            self.process.kill_group()
            await self.process.ended()

    async def stop(self) -> None:
        """In good order."""
        self.may_be_down = True
        if self.is_running:
            self.thaw()
            await self.scrape()
            await self.process.stop()

    def freeze(self) -> None:
        self._is_frozen = True
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self._is_frozen and self.is_running:
            os.kill(self.process.pid, signal.SIGCONT)
        self._is_frozen = False

    async def dies(self, deadline: float) -> int | None:
        """How it ended, or None while it lives on."""
        self.may_be_down = True
        try:
            return await asyncio.wait_for(self.process.ended(), deadline)
        except TimeoutError:
            return None

    async def scrape(self) -> Counters:
        """What it counts now, kept as the last that was seen of this life."""
        if self.is_running and not self._is_frozen:
            seen = parse_metrics(await get(self.ports["ops"], "/metrics"))
            if seen:
                self.lives[-1] = seen
        return self.counters

    def usage(self) -> Usage | None:
        if not self.is_running:
            return None
        try:
            folder = Path("/proc") / str(self.process.pid)
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            return Usage(rss_mb=int(status["VmRSS"].split()[0]) / 1024, fds=len(list((folder / "fd").iterdir())), threads=int(status["Threads"]))
        except (OSError, KeyError):
            return None
