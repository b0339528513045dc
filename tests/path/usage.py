"""What processes have cost, from /proc: themselves, their threads and everything they started."""

import os
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    parent: int
    command: list[str]
    cpu_s: float  # its own, and of children that ended and were waited for


def processes() -> dict[int, Seen]:
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name is in brackets and may hold anything; numbers follow the last one: state, parent, ..., then the times.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # ended meanwhile
        found[int(folder.name)] = Seen(int(fields[1]), command, sum(map(int, fields[11:15])) * TICK_S)
    return found


def cpu_of_trees(roots: dict[str, int]) -> dict[str, float]:
    """CPU seconds so far of each named process with all that descends from it."""
    seen = processes()
    children: dict[int, list[int]] = {}
    for pid, process in seen.items():
        children.setdefault(process.parent, []).append(pid)

    def total(pid: int) -> float:
        return (seen[pid].cpu_s if pid in seen else 0.0) + sum(map(total, children.get(pid, [])))
    return {name: total(pid) for name, pid in roots.items()}


def descendants(root: int) -> dict[int, Seen]:
    seen = processes()
    wanted, grown = {root}, True
    while grown:
        more = {pid for pid, process in seen.items() if process.parent in wanted} - wanted
        wanted, grown = wanted | more, bool(more)
    return {pid: seen[pid] for pid in wanted if pid in seen}
