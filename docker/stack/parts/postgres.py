"""PostgreSQL 17 with one database, a superuser for tests and migrations, and one role for each service."""

import os
import pwd
import re
import signal
from pathlib import Path

from .cache import Cache
from .process import LOOPBACK, Failure, Process, free_port, run, secret

PROGRAMS = Path("/usr/lib/postgresql/17/bin")
TIMESCALEDB = Path("/usr/lib/postgresql/17/lib/timescaledb.so")
DATABASE, SUPERUSER = "sluice", "sluice_owner"


def snake(service: str) -> str:
    return service.replace("-", "_")


class Postgres:
    name = "postgres"

    def __init__(self, data: Path, cache: Cache, *, services: list[str], durable: bool, environment: dict | None = None):
        """`environment`: more of it for the server."""
        self._data, self._logs, self._secrets = data / "postgres", data / "log", data / "secrets"
        self._services, self._durable, self._more = services, durable, environment or {}
        self.processes: list[Process] = []
        self._port = 0
        self._password = ""

    def password_file(self, service: str) -> Path:
        return self._secrets / f"postgres-{snake(service)}"

    def url(self, user: str, password: str = "") -> str:
        return f"postgresql://{user}{':' if password else ''}{password}@{LOOPBACK}:{self._port}/{DATABASE}"

    def _as_postgres(self) -> list:
        """PostgreSQL refuses to run as root, so root becomes the user that Debian's package made.

        It keeps one privilege: to pass through folders on the way to the data that only root may enter
        (a clone under /root). Making them readable would be worse.
        """
        if os.geteuid() != 0:
            return []
        return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups",
                "--inh-caps", "-all,+dac_override", "--ambient-caps", "-all,+dac_override", "--bounding-set", "-all,+dac_override"]

    async def _initdb(self) -> None:
        self._data.mkdir(parents=True, mode=0o700, exist_ok=True)  # it may be a file system of its own
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self._data, account.pw_uid, account.pw_gid)
        try:
            await run(self._as_postgres() + [
                PROGRAMS / "initdb", "--pgdata", self._data, "--username", SUPERUSER, "--pwfile", self._secrets / "postgres",
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"],
                what="initdb", cwd=self._data)
        except BaseException:
            await run(["rm", "-rf", self._data], what="removing a half-made database")
            raise

    async def start(self) -> str:
        self._password = secret(self._secrets / "postgres").read_text()
        if not (self._data / "PG_VERSION").exists():
            await self._initdb()
        self._port = free_port()
        # Durable where data is kept. A test's data goes with the test, so it need not reach the disk.
        sync = "on" if self._durable else "off"
        settings = {
            "listen_addresses": LOOPBACK, "port": self._port,
            "unix_socket_directories": "",  # a socket's path may be 107 bytes at most, a clone's may be longer
            "fsync": sync, "synchronous_commit": sync, "full_page_writes": sync,
            "shared_buffers": "256MB", "max_wal_size": "1GB", "max_connections": 200, "timezone": "UTC", "log_timezone": "UTC",
            "log_min_duration_statement": "1s", "jit": "off",
            # Loaded, it does nothing but in a database that makes it its extension, as tests of hypertables do.
            "shared_preload_libraries": "timescaledb" if TIMESCALEDB.exists() else "", "timescaledb.telemetry_level": "off",
        }
        process = Process("postgres", self._as_postgres() + [PROGRAMS / "postgres", "-D", self._data]
                          + [word for key, value in settings.items() for word in ("-c", f"{key}={value}")],
                          log=self._logs / "postgres.log", cwd=self._data, env=os.environ | self._more,
                          # SIGINT is its fast stop: it closes sessions, writes a checkpoint and goes. SIGTERM would wait for its clients.
                          stop_signal=signal.SIGINT)
        self.processes.append(process)
        await process.start()

        await process.until(self.is_ready)
        await self._make_roles()
        return f"{LOOPBACK}:{self._port}"

    async def is_ready(self) -> bool:
        try:
            await self.sql("postgres", "select 1")
            return True
        except Failure:
            return False

    async def sql(self, database: str, script: str) -> str:
        """What a script of the superuser answers."""
        environment = os.environ | {"PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "2"}
        output = await run([PROGRAMS / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", LOOPBACK, "-p", self._port,
                            "-U", SUPERUSER, "-d", database], stdin=script.encode(), env=environment, what="psql")
        return output.decode()

    async def _make_roles(self) -> None:
        if not (await self.sql("postgres", f"select 1 from pg_database where datname = '{DATABASE}'")).strip():
            await self.sql("postgres", f"create database {DATABASE}")
        script = [f"revoke all on database {DATABASE} from public;"]
        for service in self._services:
            if not re.fullmatch(r"[a-z][a-z0-9-]*", service):
                raise Failure(f"services/{service}: the name of a service has small letters, digits and hyphens only")
            role = f"sluice_{snake(service)}"
            password = secret(self.password_file(service)).read_text()
            script.append(f"select 'create role {role}' where not exists (select from pg_roles where rolname = '{role}') \\gexec")
            script.append(f"alter role {role} login nosuperuser nocreatedb nocreaterole nobypassrls password '{password}';")
            script.append(f"grant connect, create, temporary on database {DATABASE} to {role};")
        await self.sql(DATABASE, "\n".join(script))

    async def stop(self, *, at_once: bool) -> None:
        for process in self.processes:
            await process.stop(at_once=at_once)

    def environment(self) -> dict:
        return {"POSTGRES_URL": self.url(SUPERUSER, self._password)}
