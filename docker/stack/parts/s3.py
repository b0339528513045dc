"""An S3-compatible server: versitygw over a plain folder. Buckets are folders, objects are files."""

import os
from pathlib import Path

from .cache import Cache
from .process import LOOPBACK, Process, free_port, http_ok, run, secret

TOOL = Path(__file__).resolve().parent.parent.parent / "tools" / "tool"


class S3:
    name = "s3"

    def __init__(self, data: Path, cache: Cache):
        self._data, self._logs = data / "s3", data / "log"
        self.secret_file = secret(data / "secrets" / "s3")
        self.processes: list[Process] = []
        self._port, self.access_key = 0, "sluice"

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    async def start(self) -> str:
        program = (await run([TOOL, "--path", "versitygw"], what="making versitygw", show_errors=True)).decode().strip()
        for folder in ("objects", "meta", "users"):
            (self._data / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._port, health = free_port(), "/health"
        environment = os.environ | {"ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_file.read_text()}
        # --sidecar: what S3 knows about an object lies beside it, so that any file system will do.
        process = Process("s3", [program, "--quiet", "--health", health, "--port", f"{LOOPBACK}:{self._port}",
                                 "--iam-dir", self._data / "users", "posix", "--sidecar", self._data / "meta", self._data / "objects"],
                          log=self._logs / "s3.log", env=environment)
        self.processes.append(process)
        await process.start()
        await process.until(lambda: http_ok(self._port, health))
        return f"{LOOPBACK}:{self._port}"

    async def stop(self, *, at_once: bool) -> None:
        for process in self.processes:
            await process.stop(at_once=at_once)

    def environment(self) -> dict:
        return {"S3_URL": self.url, "S3_ACCESS_KEY": self.access_key, "S3_SECRET_KEY": self.secret_file.read_text()}
