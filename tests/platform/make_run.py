"""`make run` as a program of a test: the whole platform in a folder of its own, until the end of a `with`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("SLUICE_BUILD") or SOURCE / "build/dev")
START_DEADLINE_S = 180
UP = "Ctrl-C ends everything"


class MakeRun:
    """`settings` of services are as a user gives them: SLUICE_LOG_LEVEL. `background` is a command that finds what demos find."""

    def __init__(self, folder: Path, background: str = "", settings: dict[str, str] | None = None):
        self.data, self._output = folder / "run/1-broker", folder / "output"
        # What the tests are given is no setting of a service.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_") or name == "SLUICE_CACHE"}
        command = [sys.executable, SOURCE / "docker/stack/run.py", "--bin", BUILD / "bin", "--data", folder / "run"]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen([*command, *(["--background", background] if background else [])], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, env=environment | (settings or {}))

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def __enter__(self) -> "MakeRun":
        deadline = time.monotonic() + START_DEADLINE_S
        while UP not in self.output:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                raise SystemExit(f"the platform did not start:\n{self.output}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def addresses(self) -> dict[str, dict[str, str]]:
        """Service -> listener -> host:port."""
        return {file.stem: json.loads(file.read_text()) for file in sorted((self.data / "address").glob("*.json"))}

    def lines_to_try(self) -> dict[str, str]:
        """What it is good for -> the line for a shell."""
        return dict(re.findall(r"^  # (.+)\n  (.+)$", self.output.partition("What to try next")[2], re.MULTILINE))

    @property
    def secrets(self) -> Path:
        return self.data / "secrets"

    @property
    def ca_file(self) -> Path:
        return self.data / "tls/ca.crt"
