"""The front in its conformance profile, as a program of its own until the end of a `with`."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("SLUICE_BUILD") or SOURCE / "build/dev")
READY_DEADLINE_S = 10


class Front:
    """`ports` by listener: mqtt and what else `settings` asks for. Needs neither Kafka nor a registry."""

    def __init__(self, settings: dict[str, object] | None = None):
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.log = folder / "log"
        self._addresses = folder / "addresses.json"
        # Nothing listens on port 1: in the profile nobody is asked and nothing is stored.
        wanted = {"mqtt_listen": "127.0.0.1:0", "conformance_profile": "true", "loops": 1, "ops_listen": "127.0.0.1:0",
                  "grpc_listen": "127.0.0.1:0", "device_registry_address": "127.0.0.1:1", "kafka_brokers": "127.0.0.1:1",
                  "address_file": self._addresses} | (settings or {})
        config = folder / "front.yaml"
        config.write_text("".join(f"{name}: {value}\n" for name, value in wanted.items()))
        # Ours are no settings of the front, which takes none that it does not know.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([BUILD / "bin/mqtt-front", "--config", config], stdout=log, stderr=log, env=environment)

    def __enter__(self) -> "Front":
        deadline = time.monotonic() + READY_DEADLINE_S
        while not self._addresses.exists() or not self._addresses.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise SystemExit(f"the front did not start:\n{self.text}")
            time.sleep(0.02)
        self.ports = {name: int(address.rsplit(":", 1)[1]) for name, address in json.loads(self._addresses.read_text()).items()}
        return self

    def __exit__(self, *_) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.text = self.log.read_text(errors="replace")
        self._folder.cleanup()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None
