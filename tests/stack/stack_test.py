"""The stack itself: its parts as promised, side by side, and gone afterwards."""

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
from pathlib import Path

from helpers import Program, TemporaryFolderCase, processes_about, wait_for
from parts.cache import Cache
from parts.kafka import installed
from parts.postgres import PROGRAMS
from stack import Stack, running

LIGHT = "postgres,redis"


class Command(TemporaryFolderCase):
    def test_gets_the_address_of_every_part(self):
        program = self.program("stack.py", "exec", "--", "env")
        self.assertEqual(program.ended(), 0, program.output())
        for name in ("KAFKA_BROKERS", "POSTGRES_URL", "REDIS_URL", "REDIS_CLUSTER", "S3_URL", "PROMETHEUS_URL"):
            self.assertRegex(program.output(), f"(?m)^SLUICE_TEST_{name}=.+")

    def test_decides_the_status_and_leaves_nothing(self):
        program = self.program("stack.py", "exec", "--parts", LIGHT, "--", "sh", "-c", "sleep 600 & exit 7")
        self.assertEqual(program.ended(), 7)
        self.assert_nothing_left()

    def test_is_told_to_end_when_the_stack_is(self):
        program = self.program("stack.py", "exec", "--parts", LIGHT, "--", "sh", "-c", "trap 'echo told; exit 0' TERM; echo begun; sleep 600 & wait")
        program.until("begun")
        program.send_signal(signal.SIGINT)
        self.assertEqual(program.ended(), 130)
        self.assertIn("told", program.output())
        self.assert_nothing_left()

    def test_dies_with_a_killed_stack(self):
        grandchild = f"(exec -a {self.folder}/grandchild sleep 600) & echo begun; wait"
        program = self.program("stack.py", "exec", "--parts", LIGHT, "--", "bash", "-c", grandchild)
        program.until("begun")
        for expected in ("grandchild", "redis-server", "postgres -D"):
            self.assertIn(expected, "\n".join(processes_about(str(self.folder))) + "\n".join(processes_about("redis-server")))
        program.kill()
        program.ended()
        wait_for(lambda: not processes_about(str(self.folder)) and not list(self.folder.glob("sluice-stack-*")),
                 lambda: f"left: {processes_about(str(self.folder))} {list(self.folder.iterdir())}")

    def test_that_does_not_exist_is_named(self):
        program = self.program("stack.py", "exec", "--parts", "redis", "--", "no-such-program")
        self.assertEqual(program.ended(), 1)
        self.assertIn("no such command: no-such-program", program.output())


class SideBySide(TemporaryFolderCase):
    def test_two_stacks_share_no_address(self):
        shell = "env | grep ^SLUICE_TEST_ | cut -d= -f1,2- && echo all-here && read -r line <\"$0\""
        programs = []
        for name in ("one", "two"):
            folder = self.folder / name
            folder.mkdir()
            os.mkfifo(folder / "go")
            programs.append(Program(folder, "stack.py", "exec", "--", "sh", "-c", shell, folder / "go"))
        for program in programs:
            program.until("all-here")
        first, second = (dict(line.split("=", 1) for line in program.output().splitlines() if line.startswith("SLUICE_TEST_"))
                         for program in programs)
        for name in first.keys() - {"SLUICE_TEST_S3_ACCESS_KEY"}:
            self.assertNotEqual(first[name], second[name], name)
        for name, program in zip(("one", "two"), programs):
            (self.folder / name / "go").write_text("go\n")
            self.assertEqual(program.ended(), 0, program.output())
        self.assert_nothing_left()

    def test_one_data_folder_serves_one_stack(self):
        first = self.program("stack.py", "up", "--parts", "redis", "--data", self.folder / "data")
        first.until("addresses and passwords")
        other = self.folder / "other"
        other.mkdir()
        second = Program(other, "stack.py", "up", "--parts", "redis", "--data", self.folder / "data")
        self.assertEqual(second.ended(), 1)
        self.assertIn("another stack is running on", second.output())


class Up(TemporaryFolderCase):
    def start(self, *arguments) -> tuple[Program, dict]:
        program = self.program("stack.py", "up", "--data", self.folder / "data", *arguments)
        program.until("addresses and passwords")
        return program, json.loads((self.folder / "data/environment.json").read_text())

    def stop(self, program: Program) -> None:
        program.send_signal(signal.SIGTERM)
        self.assertEqual(program.ended(), 0, program.output())
        self.assert_nothing_left()

    def sql(self, url: str, statement: str, **environment) -> subprocess.CompletedProcess:
        return subprocess.run([PROGRAMS / "psql", "-X", "-A", "-t", "-c", statement, url], text=True, capture_output=True,
                              env=os.environ | environment)

    def test_keeps_what_was_stored(self):
        program, environment = self.start("--parts", "kafka,postgres")
        kafka_topic(asyncio.run(installed(Cache())), environment["SLUICE_TEST_KAFKA_BROKERS"], "kept")
        self.sql(environment["SLUICE_TEST_POSTGRES_URL"], "create table kept (n int); insert into kept values (7)").check_returncode()
        self.stop(program)

        program, environment = self.start("--parts", "kafka,postgres")
        self.assertEqual(self.sql(environment["SLUICE_TEST_POSTGRES_URL"], "select n from kept").stdout.strip(), "7")
        self.assertIn('"kept"', kcat(environment["SLUICE_TEST_KAFKA_BROKERS"], "-L").stdout)
        self.stop(program)

    def test_ends_with_the_last_words_of_a_part_that_died(self):
        program, environment = self.start("--parts", LIGHT)
        port = environment["SLUICE_TEST_REDIS_URL"].rpartition(":")[2]
        server, = [folder.name for folder in Path("/proc").glob("[0-9]*")
                   if f"redis-server 127.0.0.1:{port}".encode() in read_or_empty(folder / "cmdline").replace(b"\0", b" ")]
        os.kill(int(server), signal.SIGKILL)
        self.assertEqual(program.ended(), 1)
        self.assertIn("redis ended with status -9", program.output())
        self.assertIn("Ready to accept connections", program.output())
        self.assert_nothing_left()

    def test_hides_its_passwords(self):
        program, environment = self.start("--parts", LIGHT)
        secrets = [path for path in (self.folder / "data/secrets").iterdir()] + [self.folder / "data/environment.json"]
        self.assertTrue(secrets)
        for path in secrets:
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        open_url = environment["SLUICE_TEST_REDIS_URL"].removeprefix("redis://").split(":")
        answer = subprocess.run(["redis-cli", "-h", open_url[0], "-p", open_url[1], "ping"], text=True, capture_output=True).stdout
        self.assertIn("NOAUTH", answer)


class Roles(TemporaryFolderCase):
    """What a service may do in PostgreSQL: make its own schema, and nothing to another's."""

    def test_a_service_has_its_own_schema_and_no_other(self):
        with_stack(self.check, self.folder, ["postgres"], roles=["alpha", "beta-two"])

    async def check(self, stack: Stack) -> None:
        alpha, beta = self.user(stack, "alpha"), self.user(stack, "beta-two")
        self.assertEqual(alpha("create schema alpha; create table alpha.t (n int)"), "")
        self.assertEqual(beta("create schema beta_two"), "")
        for forbidden in ("select * from alpha.t", "create table alpha.mine (n int)", "create table public.t (n int)",
                          "drop schema alpha cascade", "create role me", "create database mine", "set role sluice_alpha",
                          "set role sluice_owner", "alter role sluice_alpha password 'x'", "select pg_read_file('/etc/passwd')"):
            self.assertIn("ERROR", beta(forbidden), forbidden)
        self.assertIn("no password supplied", self.user(stack, "alpha", password="")("select 1"))
        self.assertIn("password authentication failed", self.user(stack, "alpha", password="wrong")("select 1"))

    @staticmethod
    def user(stack: Stack, service: str, password: str | None = None):
        postgres = stack["postgres"]
        known = postgres.password_file(service).read_text() if password is None else password

        def run(statement: str) -> str:
            url = postgres.url(f"sluice_{service.replace('-', '_')}")
            return subprocess.run([PROGRAMS / "psql", "-X", "-w", "-q", "-A", "-t", "-c", statement, url], text=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"PGPASSWORD": known}).stderr
        return run


class ThreeBrokers(TemporaryFolderCase):
    def test_keep_three_copies_acknowledge_with_two_alive_and_refuse_with_one(self):
        with_stack(self.check, self.folder, ["kafka"], brokers=3, roles=[])

    async def check(self, stack: Stack) -> None:
        kafka = stack["kafka"]
        described = kafka_topic(await installed(Cache()), kafka.address, "promise", "--describe")
        self.assertIn("ReplicationFactor: 3", described)
        self.assertIn("min.insync.replicas=2", described)
        self.assertEqual(self.produce(kafka.address, timeout_ms=30_000), "")
        await kafka.processes[0].stop(at_once=True)
        self.assertEqual(self.produce(kafka.address, timeout_ms=30_000), "")
        await kafka.processes[1].stop(at_once=True)
        self.assertNotEqual(self.produce(kafka.address, timeout_ms=5_000), "")

    @staticmethod
    def produce(brokers: str, *, timeout_ms: int) -> str:
        """Produces one record with acks=all; returns why that failed."""
        done = kcat(brokers, "-P", "-t", "promise", "-X", "acks=all", "-X", f"message.timeout.ms={timeout_ms}", given="x\n")
        return "" if done.returncode == 0 and "Delivery failed" not in done.stderr else done.stderr or "failed"


def with_stack(check, folder: Path, parts: list[str], **options) -> None:
    """Runs `check(stack)` with a stack that goes afterwards."""
    async def run():
        async with running(Stack(folder / "stack", parts, durable=False, **options)) as stack:
            await check(stack)

    with contextlib.redirect_stderr(io.StringIO()):  # its progress would tear the list of tests apart
        asyncio.run(run())


def read_or_empty(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def kcat(brokers: str, *arguments, given: str = "") -> subprocess.CompletedProcess:
    return subprocess.run(["kcat", "-b", brokers, *arguments], text=True, capture_output=True, input=given)


def kafka_topic(home: Path, brokers: str, name: str, *more) -> str:
    """Makes a topic with the brokers' own defaults; with --describe also says what it is like."""
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{home}/lib/*", "org.apache.kafka.tools.TopicCommand",
               "--bootstrap-server", brokers, "--topic", name]
    outputs = [subprocess.run([*command, *action], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
               for action in (["--create"], *([word] for word in more))]
    return outputs[-1]
