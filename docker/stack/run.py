#!/usr/bin/env python3
"""`make run`: the real stack and every service that is built, fed, until Ctrl-C.

A service is asked which settings it has (--print-settings) and given those of them that a local run decides:
addresses, passwords, certificates. Nothing here knows a service by its name, so a new one needs no change here.
"""

import argparse
import asyncio
import base64
import json
import os
import secrets
import shlex
import string
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # a run leaves no file in the source tree

from parts.authority import Authority
from parts.process import LOOPBACK, Failure, Process, http_ok, run, say, secret, write_secret
from parts.postgres import snake
from parts.prometheus import SCRAPE_INTERVAL
from stack import FOR_SERVICES, SOURCE, Interrupted, Stack, first_death, running, services, until_signal

READY_DEADLINE_S = 60
# A service ends by itself within its `shutdown_grace`; after that it is killed.
STOP_DEADLINE_S = 60


def _base64url(size: int) -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(size)).decode().rstrip("=")


def new_api_key() -> str:
    return f"slk_{''.join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))}_{_base64url(32)}"


def new_key_ring() -> str:
    """A ring of one key, as services that seal secrets read it."""
    return f"local {_base64url(32)}\n"


class Service:
    def __init__(self, name: str, binary: Path, settings: set[str], data: Path):
        self.name, self.binary, self.settings, self._data = name, binary, settings, data
        self.address_file = data / "address" / f"{name}.json"
        self.process = Process(name, [binary], log=data / "log" / f"{name}.log", stop_deadline=STOP_DEADLINE_S)
        self.addresses: dict[str, str] = {}

    def needs(self, others: list[str]) -> list[str]:
        """The services whose addresses it asks for."""
        return [other for other in others if other != self.name and f"{snake(other)}_address" in self.settings]

    async def start(self, values: dict[str, str]) -> None:
        self.address_file.parent.mkdir(parents=True, exist_ok=True)
        self.address_file.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SLUICE_")}
        for setting in self.settings:
            variable = "SLUICE_" + setting.upper()
            value = os.environ.get(variable, values.get(setting))  # what the user says wins
            if value is not None:
                environment[variable] = value
        self.process.set_environment(environment)
        await self.process.start()
        await self.process.until(self._ready, READY_DEADLINE_S)

    async def _ready(self) -> bool:
        try:
            self.addresses = json.loads(self.address_file.read_text())
        except FileNotFoundError:
            return False
        return await http_ok(int(self.addresses["ops"].rpartition(":")[2]), "/readyz")


async def declared_settings(binary: Path) -> set[str]:
    answer = json.loads(await run([binary, "--print-settings"], what=f"{binary.name} --print-settings"))
    return {entry["name"] for entry in answer}


class Platform:
    """Every built service, started when those it calls are ready and stopped before them."""

    def __init__(self, stack: Stack, authority: Authority, members: list[Service]):
        self._stack, self._authority, self._members = stack, authority, members
        self._secrets = stack.data / "secrets"
        self.operator_key_file = self._secrets / "operator-key"
        self._try_file = self._secrets / "try"  # with passwords in its lines
        self._ready = {member.name: asyncio.Event() for member in members}
        self._refuse_circles()

    @property
    def processes(self) -> list[Process]:
        return [member.process for member in self._members]

    @property
    def addresses(self) -> dict[str, dict[str, str]]:
        return {member.name: member.addresses for member in self._members}

    def _needs(self, member: Service) -> list[str]:
        return member.needs([other.name for other in self._members])

    def _refuse_circles(self) -> None:
        waiting = {member.name: set(self._needs(member)) for member in self._members}
        while free := [name for name, needs in waiting.items() if not needs & set(waiting)]:
            for name in free:
                del waiting[name]
        if waiting:
            raise Failure(f"these services wait for each other's address: {', '.join(waiting)}")

    async def _values(self, member: Service) -> dict[str, str]:
        """What a local run decides, whether or not this service asks for it."""
        certificate, key = await self._authority.identity(member.name)
        web_certificate, web_key = await self._authority.web()
        parts, postgres, redis = self._stack.parts, self._stack["postgres"], self._stack["redis"]
        values = {
            "kafka_brokers": parts["kafka"].address if "kafka" in parts else "",
            "postgres_url": postgres.url(f"sluice_{snake(member.name)}"),
            "postgres_password_file": postgres.password_file(member.name),
            "redis_url": redis.url,
            "redis_password_file": redis.password_file,
            "tls_ca_file": self._authority.certificate,
            "tls_cert_file": certificate,
            "tls_key_file": key,
            "http_tls_cert_file": web_certificate,
            "http_tls_key_file": web_key,
            "mqtt_listen": f"{LOOPBACK}:0",
            "mqtts_listen": f"{LOOPBACK}:0",
            "ws_listen": f"{LOOPBACK}:0",
            "mqtt_tls_cert_file": web_certificate,
            "mqtt_tls_key_file": web_key,
            "mqtt_client_ca_file": self._authority.certificate,
            "mqtt_client_certificates": "optional",
            "session_store": "redis",
            "http_listen": f"{LOOPBACK}:0",
            "grpc_listen": f"{LOOPBACK}:0",
            "ops_listen": f"{LOOPBACK}:0",
            "ops_token_file": self._stack["prometheus"].token_file,
            "prometheus_url": self._stack["prometheus"].url,
            "prometheus_scrape_interval": SCRAPE_INTERVAL,
            "address_file": member.address_file,
        }
        for other in self._members:
            if "grpc" in other.addresses:
                values[f"{snake(other.name)}_address"] = other.addresses["grpc"]
        for setting in member.settings:
            if setting == "bootstrap_admin_key_file":
                values[setting] = secret(self.operator_key_file, new_api_key)
            elif setting.endswith(("_key_file", "_key_ring_file")) and not setting.endswith("tls_key_file"):
                values[setting] = secret(self._secrets / f"{member.name}-{setting.removesuffix('_file')}", new_key_ring)
        return {name: str(value) for name, value in values.items()}

    async def start(self) -> None:
        began = time.monotonic()

        async def start_one(member: Service) -> None:
            for other in self._needs(member):
                await self._ready[other].wait()
            await member.start(await self._values(member))
            self._ready[member.name].set()
            say(member.name, f"ready in {time.monotonic() - began:.1f} s  "
                + "  ".join(f"{listener} {address}" for listener, address in sorted(member.addresses.items())))

        try:
            async with asyncio.TaskGroup() as group:
                for member in self._members:
                    group.create_task(start_one(member))
        except* Failure as failures:
            raise failures.exceptions[0] from None
        self._stack["prometheus"].scrape({member.name: member.addresses["ops"] for member in self._members})

    async def stop(self) -> None:
        left = [member for member in self._members if member.process.running]
        while left:
            called = {other for member in left for other in self._needs(member)}
            now = [member for member in left if member.name not in called]
            for member in now:
                say(member.name, "draining")
            await asyncio.gather(*(member.process.stop() for member in now))
            for member in now:
                if member.process.status != 0:
                    say(member.name, f"ended with status {member.process.status}; {member.process.last_words()}")
            left = [member for member in left if member not in now]

    def _demo_environment(self) -> dict[str, str]:
        kafka = self._stack.parts.get("kafka")
        return os.environ | {
            "PYTHONDONTWRITEBYTECODE": "1",
            "SLUICE_DEMO_ADDRESSES": json.dumps(self.addresses),
            "SLUICE_DEMO_CA_FILE": str(self._authority.certificate),
            "SLUICE_DEMO_KEY_FILE": str(self.operator_key_file),
            "SLUICE_DEMO_TRY_FILE": str(self._try_file),
            "SLUICE_DEMO_OPS_TOKEN_FILE": str(self._stack["prometheus"].token_file),
            "SLUICE_DEMO_KAFKA_BROKERS": kafka.address if kafka else "",
        }

    def background(self, command: list[str]) -> Process:
        """What feeds the platform for as long as it runs, and is ended before any service is."""
        return Process("fleet", command, log=None, env=self._demo_environment(), stop_deadline=STOP_DEADLINE_S)

    async def feed(self, source: Path) -> None:
        """Runs the demo of each service that has one; what it prints is for the user, what it suggests comes at the end."""
        write_secret(self._try_file, b"")
        for member in self._members:
            demo = source / "services" / member.name / "demo.py"
            if not demo.exists():
                continue
            say(member.name, "feeding it")
            command = Process(f"{member.name}'s demo", [sys.executable, demo], log=None, env=self._demo_environment() | {
                "SLUICE_DEMO_URL": f"https://{member.addresses['http']}" if "http" in member.addresses else "",
            })
            try:
                await command.start()
                status = await command.ended()
            finally:
                await command.stop(at_once=True)
            if status != 0:
                raise Failure(f"{demo} ended with status {status}; {member.name}'s log, {member.process.last_words()}")

    def where_to_look(self) -> str:
        suggestions = sorted((json.loads(line) for line in self._try_file.read_text().splitlines()), key=lambda entry: entry["place"])
        rows = [(entry["what"], entry["look"]) for entry in suggestions if entry["look"]]
        rows += [("Prometheus", self._stack["prometheus"].url)]
        for member in self._members:
            if "http" in member.addresses:
                rows.append((member.name, f"https://{member.addresses['http']}  (its contract: /openapi.json)"))
        if self.operator_key_file.exists():
            rows.append(("operator key", f"{self.operator_key_file.read_text().strip()}  ({self.operator_key_file})"))
        rows += [("CA file", self._authority.certificate), ("logs", self._stack.data / "log")]
        text = "\n".join(f"  {name:<16} {value}" for name, value in rows)
        lines = [f"  # {entry['what']}\n  {entry['run']}\n" for entry in suggestions if entry["run"]]
        if lines:
            text += "\n\nWhat to try next, in another terminal (a program is missing? docker/toolchain/enter bash has it):\n\n" + "\n".join(lines)
        return text


async def unless_death(work, processes: list[Process]):
    """The outcome of `work`; the death of one of the processes meanwhile is a Failure."""
    task, death = asyncio.create_task(work), asyncio.create_task(first_death(processes))
    try:
        await asyncio.wait({task, death}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise death.result()
        return task.result()
    finally:
        for one in (task, death):
            one.cancel()
        await asyncio.gather(task, death, return_exceptions=True)


async def run_platform(arguments) -> int:
    began = time.monotonic()
    names = [name for name in services(arguments.source) if (arguments.bin / name).exists()]
    if not names:
        say("run", f"no service is built in {arguments.bin}; this is the stack alone")
    # Another number of brokers is another cluster, and what the services know must fit it.
    data = arguments.data / f"{arguments.brokers}-broker{'s' if arguments.brokers > 1 else ''}"
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with running(Stack(data, arguments.parts, durable=True, brokers=arguments.brokers, roles=names)) as stack:
        authority = Authority(data / "tls")
        await authority.start()
        await authority.web()
        members = [Service(name, arguments.bin / name, await declared_settings(arguments.bin / name), data) for name in names]
        platform = Platform(stack, authority, members)
        background = None
        try:
            await unless_death(platform.start(), stack.processes)
            await unless_death(platform.feed(arguments.source), stack.processes + platform.processes)
            print(f"\nSluice is up after {time.monotonic() - began:.1f} s. Where to look:\n{platform.where_to_look()}\n", flush=True)
            if arguments.once:
                return 0
            print("Ctrl-C ends everything; what it stored is there the next time (`make clean` removes it).\n", flush=True)
            if arguments.background:
                background = platform.background(shlex.split(arguments.background))
                await background.start()
            raise await first_death(stack.processes + platform.processes)
        finally:
            if background is not None:
                await background.stop()
            await platform.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", type=int, default=1, choices=(1, 3), help="Kafka brokers; with 3, min.insync.replicas is 2")
    parser.add_argument("--once", action="store_true", help="stop again when everything was up and fed")
    parser.add_argument("--data", type=Path, default=SOURCE / ".run", help="where everything is kept (default: %(default)s)")
    parser.add_argument("--bin", type=Path, default=SOURCE / "build/dev/bin", help="the built services (default: %(default)s)")
    parser.add_argument("--background", default="", help="a command to run from when everything is up until Ctrl-C; it finds what demos find")
    # For the runner's own tests, whose services are not real.
    parser.add_argument("--source", type=Path, default=SOURCE, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=FOR_SERVICES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.data, arguments.bin = arguments.data.resolve(), arguments.bin.resolve()
    try:
        return asyncio.run(until_signal(run_platform(arguments)))
    except Interrupted:
        say("run", "ended, nothing left running")
        return 0
    except Failure as failure:
        say("run", str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main())
