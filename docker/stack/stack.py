#!/usr/bin/env python3
"""Sluice's real stack as plain local processes: free ports, one data folder, nothing left behind.

  stack.py up --data DIR [--parts kafka,postgres]    in the foreground until Ctrl-C or SIGTERM; keeps DIR
  stack.py exec [--parts ...] -- COMMAND...          in a temporary folder, for as long as COMMAND runs; ends with
                                                     its status. COMMAND finds the addresses in SLUICE_TEST_*
  stack.py renew-checksums                           after a change of kafka/pom.xml
"""

import argparse
import asyncio
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

sys.dont_write_bytecode = True  # a run leaves no file in the source tree

from parts.cache import Cache
from parts.kafka import Kafka, renew_checksums
from parts.postgres import Postgres
from parts.process import Failure, Process, keeper, say, write_secret
from parts.prometheus import Prometheus
from parts.redis import Redis, RedisCluster
from parts.s3 import S3

SOURCE = Path(__file__).resolve().parent.parent.parent
# A Redis Cluster is what tests of redirects need, and nobody else.
FOR_SERVICES = ["kafka", "postgres", "redis", "s3", "prometheus"]
FOR_TESTS = [*FOR_SERVICES, "redis-cluster"]


def services(source: Path = SOURCE) -> list[str]:
    """A service is a folder in services/ with a main.cpp."""
    return sorted(main.parent.name for main in source.glob("services/*/main.cpp"))


class Stack:
    """The parts that were asked for, started side by side and stopped together.

    `durable` is for data that is kept: written through to the disk, guarded by passwords, closed in good order.
    """

    def __init__(self, data: Path, names: list[str], *, durable: bool, brokers: int = 1, roles: list[str] | None = None):
        cache = Cache()
        makers = {
            "kafka": lambda: Kafka(data, cache, brokers=brokers),
            "postgres": lambda: Postgres(data, cache, services=services() if roles is None else roles, durable=durable),
            "redis": lambda: Redis(data, cache, durable=durable),
            "redis-cluster": lambda: RedisCluster(data, cache),
            "s3": lambda: S3(data, cache),
            "prometheus": lambda: Prometheus(data, cache),
        }
        unknown = sorted(set(names) - set(makers))
        if unknown:
            raise Failure(f"no such part: {', '.join(unknown)}; there are {', '.join(makers)}")
        self.data, self._durable = data, durable
        data.mkdir(parents=True, exist_ok=True)
        self._lock = open(data / "lock", "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure(f"another stack is running on {data}") from None
        self.parts = {name: makers[name]() for name in names}

    def __getitem__(self, name: str):
        return self.parts[name]

    @property
    def processes(self) -> list[Process]:
        return [process for part in self.parts.values() for process in part.processes]

    async def start(self) -> None:
        say("stack", "starting " + ", ".join(self.parts))
        waiting = dict.fromkeys(self.parts)
        began = time.monotonic()

        async def start_one(part):
            address = await part.start()
            waiting.pop(part.name)
            say(part.name, f"ready in {time.monotonic() - began:.1f} s  {address}")

        async def report():
            while True:
                await asyncio.sleep(10)
                say("stack", f"still waiting for {', '.join(waiting)} ({time.monotonic() - began:.0f} s)")

        reporter = asyncio.create_task(report())
        try:
            async with asyncio.TaskGroup() as group:
                for part in self.parts.values():
                    group.create_task(start_one(part))
        except* Failure as failures:
            raise failures.exceptions[0] from None
        finally:
            reporter.cancel()
        say("stack", f"complete in {time.monotonic() - began:.1f} s")

    def environment(self) -> dict:
        return {"SLUICE_TEST_" + key: value for part in self.parts.values() for key, value in part.environment().items()}

    async def stop(self) -> None:
        # What is thrown away need not be closed in good order.
        await asyncio.gather(*(part.stop(at_once=not self._durable) for part in self.parts.values()))
        self._lock.close()


async def first_death(processes: list[Process]) -> Failure:
    """Waits until any of these ends, which none should, and says how it ended."""
    watchers = {asyncio.create_task(process.ended()): process for process in processes}
    try:
        done, _ = await asyncio.wait(watchers, return_when=asyncio.FIRST_COMPLETED)
        task = done.pop()
        return Failure(f"{watchers[task].name} ended with status {task.result()}; {watchers[task].last_words()}")
    finally:
        for watcher in watchers:
            watcher.cancel()


@asynccontextmanager
async def running(stack: Stack):
    try:
        await stack.start()
        yield stack
    finally:
        began = time.monotonic()
        await stack.stop()
        say("stack", f"stopped in {time.monotonic() - began:.1f} s")


@contextmanager
def temporary_folder():
    """A folder that goes when we go. What one left that was killed together with its keeper, as its container
    was, is known by its lock being free, and goes now."""
    base = Path(tempfile.gettempdir())
    for old in base.glob("sluice-stack-*"):
        try:
            with open(old / "lock") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old, ignore_errors=True)
        except OSError:
            continue
    folder = Path(tempfile.mkdtemp(prefix="sluice-stack-", dir=base))
    keeper.tell(f"folder {folder}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


async def until_signal(work):
    """Runs a coroutine to its end, or cancels it when we are told to stop; it then cleans up as long as it takes.
    A second Ctrl-C changes nothing: every clean-up has a deadline of its own."""
    task = asyncio.create_task(work)
    interrupted = False

    def stop():
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        return await task
    except asyncio.CancelledError:
        raise Interrupted from None


async def up(arguments) -> int:
    stack = Stack(arguments.data.resolve(), arguments.parts or FOR_SERVICES, durable=True, brokers=arguments.brokers)
    async with running(stack):
        environment = write_secret(stack.data / "environment.json", json.dumps(stack.environment(), indent=2).encode())
        say("stack", f"addresses and passwords: {environment}")
        raise await first_death(stack.processes)


async def execute(arguments) -> int:
    with temporary_folder() as folder:
        stack = Stack(folder, arguments.parts or FOR_TESTS, durable=False, brokers=arguments.brokers)
        async with running(stack):
            return await execute_in(stack, arguments.command)


async def execute_in(stack: Stack, argv: list) -> int:
    """Runs a command with the stack's addresses in its environment; says so when a part dies meanwhile."""
    command = Process("command", argv, log=None, env=os.environ | stack.environment())

    async def watch():
        say("stack", str(await first_death(stack.processes)))

    watcher = asyncio.create_task(watch())
    try:
        await command.start()
        return await command.ended()
    except FileNotFoundError:
        raise Failure(f"no such command: {argv[0]}") from None
    finally:
        watcher.cancel()
        await command.stop()
        command.kill_group()


async def renew(arguments) -> int:
    await renew_checksums(Cache())
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="up|exec|renew-checksums")
    for name, function, parts in (("up", up, FOR_SERVICES), ("exec", execute, FOR_TESTS)):
        command = commands.add_parser(name)
        command.set_defaults(function=function)
        command.add_argument("--parts", type=lambda text: text.split(","), help="default: " + ",".join(parts))
        command.add_argument("--brokers", type=int, default=int(os.environ.get("KAFKA_BROKERS") or 1), help="Kafka brokers, 1 or 3")
        if name == "up":
            command.add_argument("--data", type=Path, required=True)
        else:
            command.add_argument("command", nargs="+", metavar="-- COMMAND")
    commands.add_parser("renew-checksums").set_defaults(function=renew)
    arguments = parser.parse_args()
    try:
        status = asyncio.run(until_signal(arguments.function(arguments)))
        return status if status >= 0 else 128 - status
    except Interrupted:
        return 0 if arguments.function is up else 130
    except Failure as failure:
        say("stack", str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main())
