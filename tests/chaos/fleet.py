"""sluice-sim beside the faults: devices that publish all the time, and the proof when they end."""

import asyncio
import json
import os
import signal
from pathlib import Path

from parts.process import Failure, Process, say

DRAIN_S = 90  # for what is not acknowledged when the devices stop
END_DEADLINE_S = 600  # for the whole proof


class Fleet:
    """One run of sluice-sim; its files stay in `folder`."""

    def __init__(self, program: Path, folder: Path, name: str, options: dict, *, settle: float):
        folder.mkdir(parents=True, exist_ok=True)
        self.name, self.folder = name, folder
        file = name.replace(" ", "-").replace(",", "")
        self._moments, self._report = folder / f"{file}.moments", folder / f"{file}.report.json"
        options = options | {"seconds": 0, "drain": DRAIN_S, "settle": settle, "moments": self._moments, "report": self._report,
                             "ledger": folder / f"{file}.ledger"}
        words = [word for key, value in options.items() for word in ([f"--{key}"] if value is True else [f"--{key}", value])]
        self._process = Process("fleet", [program, *words], log=folder / f"{file}.log", stop_deadline=END_DEADLINE_S)
        self._read, self.moments = 0, []
        self.report: dict = {}
        self.status: int | None = None

    async def start(self) -> None:
        await self._process.start()

    @property
    def is_running(self) -> bool:
        return self._process.running

    @property
    def table(self) -> str:
        """What it printed at its end."""
        text = self._process.log.read_text(errors="replace")
        return text[text.index("completeness ("):] if "completeness (" in text else text[-4000:]

    def update(self) -> dict:
        """The figures of the last second; those before are in `moments`."""
        if not self._process.running and self.status is None:
            raise Failure(f"the fleet ended by itself; {self._process.last_words()}")
        if self._moments.exists():
            with open(self._moments) as file:
                file.seek(self._read)
                while (line := file.readline()).endswith("\n"):
                    self.moments.append(json.loads(line))
                    self._read = file.tell()
        return self.moments[-1] if self.moments else {"at": 0, "connected": 0, "acknowledged": 0, "unanswered": 0, "p99_ms": 0}

    def storm(self) -> None:
        """All devices lose power at once and come back."""
        os.kill(self._process.pid, signal.SIGUSR1)

    def acknowledged(self, since: float, until: float) -> int:
        """Messages in that time, to a second."""
        self.update()
        counts = [moment["acknowledged"] for moment in self.moments if since <= moment["at"] <= until]
        return counts[-1] - counts[0] if counts else 0

    def longest_gap(self, since: float, until: float) -> float:
        """Seconds in that time without any acknowledgement, to a second."""
        self.update()
        longest, last, count = 0.0, since, None
        for moment in self.moments:
            if not since <= moment["at"] <= until:
                continue
            if count is not None and moment["acknowledged"] > count:
                last = moment["at"]
            count = moment["acknowledged"]
            longest = max(longest, moment["at"] - last)
        return longest

    async def finish(self) -> None:
        """No more messages; the proof."""
        os.kill(self._process.pid, signal.SIGTERM)
        try:
            self.status = await asyncio.wait_for(self._process.ended(), END_DEADLINE_S)
        except TimeoutError:
            raise Failure(f"the fleet did not end; {self._process.last_words()}") from None
        if not self._report.exists():
            raise Failure(f"the fleet ended with status {self.status} and no report; {self._process.last_words()}")
        self.report = json.loads(self._report.read_text())
        say("fleet", f"{self.name}: status {self.status}")

    async def stop(self) -> None:
        await self._process.stop(at_once=True)
