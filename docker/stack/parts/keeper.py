#!/usr/bin/env python3
"""Cleans up after a runner that was killed without a chance to do it itself.

The runner starts this program first and tells it on standard input what there is: `+PID` and `-PID` for a process
group that began and ended, `folder PATH` for what is to be removed. When the input ends, the runner is gone, and
so is then everything it has not taken back. Plain clean-ups are the runner's own; this one knows SIGKILL alone.
"""

import os
import shutil
import signal
import sys


def main() -> None:
    # Whoever stops the runner's process group means the runner, not what cleans up after it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups, folders = set(), []
    for line in sys.stdin:
        line = line.rstrip("\n")
        if line.startswith("+"):
            groups.add(int(line[1:]))
        elif line.startswith("-"):
            groups.discard(int(line[1:]))
        elif line.startswith("folder "):
            folders.append(line.removeprefix("folder "))
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
