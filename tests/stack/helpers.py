"""Starting the stack's programs as a user does, and looking for what they left."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

STACK = Path(__file__).resolve().parent.parent.parent / "docker/stack"
DEADLINE_S = 120


def processes_about(text: str) -> list[str]:
    """Command lines of the processes that mention `text`, ours excepted."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if text in command and int(folder.name) != os.getpid():
                found.append(command)
        except OSError:
            continue
    return found


class Program(subprocess.Popen):
    """A program of docker/stack whose output goes to a file, so that it never waits for us."""

    def __init__(self, folder: Path, name: str, *arguments, **environment):
        self.output_file = folder / "output"
        with open(self.output_file, "wb") as output:
            super().__init__([sys.executable, STACK / name, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=output,
                             stderr=output, env=os.environ | {"TMPDIR": str(folder)} | environment)

    def output(self) -> str:
        return self.output_file.read_text(errors="replace")

    def until(self, text: str) -> None:
        wait_for(lambda: text in self.output() or self.poll() is not None, lambda: f"no {text!r} in:\n{self.output()}")
        if text not in self.output():
            raise AssertionError(f"ended with {self.returncode} and without {text!r}:\n{self.output()}")

    def ended(self) -> int:
        return self.wait(DEADLINE_S)


def wait_for(condition, complaint) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(complaint())
        time.sleep(0.02)


class TemporaryFolderCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="sluice-test-", ignore_cleanup_errors=True)
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def program(self, name: str, *arguments, **environment) -> Program:
        program = Program(self.folder, name, *arguments, **environment)

        def end():
            if program.poll() is None:
                program.send_signal(signal.SIGTERM)
                program.ended()

        self.addCleanup(end)
        return program

    def assert_nothing_left(self) -> None:
        """The processes may take a moment to die, but die they must."""
        wait_for(lambda: not processes_about(str(self.folder)), lambda: "\n".join(processes_about(str(self.folder))))
        self.assertEqual(list(self.folder.glob("sluice-stack-*")), [])
