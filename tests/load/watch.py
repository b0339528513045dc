"""Who used the processors while something was measured, and what a service's metrics grew by meanwhile."""

import asyncio
import os
import re
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

EVERY_S = 1.0
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
IDLE = (3, 4)  # of the figures of a processor in /proc/stat: idle, iowait


class Sample(NamedTuple):
    time: float  # time.monotonic(), which is what the generator's times are of too
    busy: dict[int, int]  # ticks by CPU
    used: dict[str, int]  # ticks by whose
    metrics: dict[str, float]


def stat_fields(path: Path) -> tuple[str, list[str]]:
    """The name and what follows it, from proc_pid_stat(5); the name may hold blanks and brackets."""
    text = path.read_text()
    return text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()


def ticks(fields: list[str]) -> int:
    return int(fields[11]) + int(fields[12])


class Watch:
    """Samples once a second, from within `async with`.

    `processes`: name -> process id; who descends from it counts too. `by_thread`: those of which each thread's name is
    shown. `metrics`: address and bearer token of an ops port. Reading costs a few milliseconds each time.
    """

    def __init__(self, processes: dict[str, int], by_thread: set[str], metrics: tuple[str, str] | None = None):
        self._names = {pid: name for name, pid in processes.items()}
        self._by_thread, self._metrics = by_thread, metrics
        self._samples: list[Sample] = []

    def add(self, name: str, pid: int) -> None:
        self._names[pid] = name

    async def __aenter__(self):
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            metrics = await asyncio.to_thread(self._read_metrics) if self._metrics else {}
            self._samples.append(Sample(time.monotonic(), self._read_busy(), self._read_used(), metrics))
            await asyncio.sleep(EVERY_S)

    def _read_busy(self) -> dict[int, int]:
        found = re.findall(r"^cpu(\d+) (.*)$", Path("/proc/stat").read_text(), re.MULTILINE)
        # The first eight: time of guests is counted as their hosts' already; the eighth is stolen by other machines.
        return {int(cpu): sum(int(figure) for at, figure in enumerate(figures.split()[:8]) if at not in IDLE) for cpu, figures in found}

    def _read_used(self) -> dict[str, int]:
        used: dict[str, int] = {}
        owners = dict(self._names)
        for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):  # parents mostly first
            try:
                _, fields = stat_fields(process / "stat")
                name = owners.get(int(process.name)) or owners.get(int(fields[1]))
                if name is None:
                    continue
                owners[int(process.name)] = name
                if name not in self._by_thread:
                    used[name] = used.get(name, 0) + ticks(fields)
                    continue
                for thread in (process / "task").iterdir():
                    its_name, fields = stat_fields(thread / "stat")
                    key = f"{name}/{its_name}"
                    used[key] = used.get(key, 0) + ticks(fields)
            except (OSError, ValueError):
                continue  # gone meanwhile
        return used

    def _read_metrics(self) -> dict[str, float]:
        address, token = self._metrics
        request = urllib.request.Request(f"http://{address}/metrics", headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            return {}
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {series: float(value) for series, _, value in lines}

    def between(self, begin: float, end: float) -> "Growth | None":
        """By the samples nearest to these times; None where they are too near to each other."""
        if not self._samples:
            return None
        first, last = (min(self._samples, key=lambda sample, at=at: abs(sample.time - at)) for at in (begin, end))
        return Growth(first, last) if last.time - first.time >= EVERY_S / 2 else None


class Growth:
    """What happened between two samples."""

    def __init__(self, first: Sample, last: Sample):
        self._first, self._last = first, last
        self.seconds = last.time - first.time

    def _share(self, grown: int) -> float:
        return max(100 * grown / TICKS_PER_SECOND / self.seconds, 0)

    def busy(self, cpu: int) -> float:
        """Percent of its time."""
        return self._share(self._last.busy[cpu] - self._first.busy[cpu])

    def used(self) -> dict[str, float]:
        """Percent of one processor by whose, those that matter, the most first."""
        shares = {name: self._share(grown - self._first.used.get(name, 0)) for name, grown in self._last.used.items()}
        return dict(sorted(((name, share) for name, share in shares.items() if share >= 0.5), key=lambda item: -item[1]))

    def metric(self, series: str) -> float:
        """Of all series of that name, or of one with its labels."""
        def total(sample: Sample) -> float:
            return sum(value for key, value in sample.metrics.items() if key == series or key.startswith(series + "{"))
        return total(self._last) - total(self._first)

    def quantile(self, histogram: str, share: float) -> float | None:
        """Of what was observed meanwhile, from the buckets: right to the width of one."""
        buckets: dict[float, float] = {}
        for key, value in self._last.metrics.items():
            if key.startswith(histogram + "_bucket{"):
                bound = float(re.search(r'le="([^"]*)"', key)[1].replace("+Inf", "inf"))
                buckets[bound] = buckets.get(bound, 0) + value - self._first.metrics.get(key, 0)
        wanted = share * buckets.get(float("inf"), 0)
        lower, below = 0.0, 0.0
        for bound in sorted(buckets):
            if buckets[bound] >= wanted > 0:
                return lower if bound == float("inf") else lower + (bound - lower) * (wanted - below) / (buckets[bound] - below)
            lower, below = bound, buckets[bound]
        return None
