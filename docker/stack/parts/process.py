"""Child processes that never outlive their parent, and the small tools every part of the stack needs."""

import asyncio
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

LOOPBACK = "127.0.0.1"


class Failure(Exception):
    """What went wrong, said for the person at the terminal."""


def say(name: str, text: str) -> None:
    # Standard error: the standard output belongs to the command that the stack runs.
    print(f"{name:<15} {text}", file=sys.stderr, flush=True)


def free_port() -> int:
    """A port nobody listens on, below the range the kernel hands to outgoing connections.

    Not bind(0): between our giving the port back and the child's binding it, any connection on this
    machine could be given it. Below that range only a second stack can, by a chance of 1 in 20000.
    """
    for _ in range(200):
        port = random.randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
                return port
            except OSError:
                continue
    raise Failure("found no free port between 10000 and 32000")


def write_secret(path: Path, value: bytes) -> Path:
    """Writes a file that only its owner reads, from its first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(value)
    new.rename(path)
    return path


def secret(path: Path, make=lambda: secrets.token_hex(24)) -> Path:
    """The file with a secret, which the first use makes."""
    if not path.exists():
        write_secret(path, make().encode())
    return path


def tail(path: Path, lines: int = 20) -> str:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join("    " + line[:400] for line in text.splitlines()[-lines:])


class Keeper:
    """Our link to keeper.py, which cleans up when we are killed. The first use starts it."""

    def __init__(self):
        self._pipe = None

    def tell(self, line: str) -> None:
        if self._pipe is None:
            program = Path(__file__).with_name("keeper.py")
            # A session of its own: a signal for our process group must not reach it.
            self._pipe = subprocess.Popen([sys.executable, program], stdin=subprocess.PIPE, text=True, start_new_session=True).stdin
        try:
            self._pipe.write(line + "\n")
            self._pipe.flush()
        except OSError:
            pass  # somebody killed it; then we clean up without a net


keeper = Keeper()


async def _spawn(argv: list, **options) -> asyncio.subprocess.Process:
    # A session of its own: Ctrl-C reaches us alone, and we stop things in order.
    child = await asyncio.create_subprocess_exec(*[str(word) for word in argv], start_new_session=True, **options)
    keeper.tell(f"+{child.pid}")
    return child


async def _wait(child: asyncio.subprocess.Process) -> int:
    status = await child.wait()
    keeper.tell(f"-{child.pid}")
    return status


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Process:
    """One child and its process group: its log file, its death, its orderly end."""

    def __init__(self, name: str, argv: list, *, log: Path | None, env: dict | None = None, cwd: Path | None = None,
                 stop_signal: int = signal.SIGTERM, stop_deadline: float = 20):
        """Without a log file its output is ours."""
        self.name, self.argv, self.log = name, argv, log
        self._env, self._cwd = env, cwd
        self._stop_signal, self._stop_deadline = stop_signal, stop_deadline
        self._child: asyncio.subprocess.Process | None = None

    def set_environment(self, env: dict) -> None:
        self._env = env

    async def start(self) -> None:
        if self.log is None:
            self._child = await _spawn(self.argv, env=self._env, cwd=self._cwd)
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as log:
            self._child = await _spawn(self.argv, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                                       env=self._env, cwd=self._cwd)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def status(self) -> int | None:
        """How it ended; negative for a signal."""
        return self._child.returncode

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    async def ended(self) -> int:
        """Waits for its end and returns the status: negative for a signal."""
        return await _wait(self._child)

    def last_words(self) -> str:
        return f"{self.log} ends:\n{tail(self.log)}"

    async def until(self, probe, deadline: float = 60) -> None:
        """Waits until `probe()` is true; the child's death or the deadline is a Failure with its last log lines."""
        end = time.monotonic() + deadline
        while True:
            if not self.running:
                raise Failure(f"{self.name} ended with status {self._child.returncode} while starting; {self.last_words()}")
            if await probe():
                return
            if time.monotonic() > end:
                raise Failure(f"{self.name} was not ready within {deadline:.0f} s; {self.last_words()}")
            await asyncio.sleep(0.05)

    async def stop(self, *, at_once: bool = False) -> None:
        if not self.running:
            return
        if not at_once:
            try:
                self._child.send_signal(self._stop_signal)
                await asyncio.wait_for(_wait(self._child), self._stop_deadline)
                return
            except ProcessLookupError:
                pass
            except TimeoutError:
                say(self.name, f"did not stop within {self._stop_deadline:.0f} s, killing it")
        self.kill_group()
        await _wait(self._child)

    def kill_group(self) -> None:
        """Ends what the child started, too, even when the child itself is gone."""
        if self._child is not None:
            _kill_group(self._child.pid)


async def run(argv: list, *, what: str, stdin: bytes = b"", env: dict | None = None, cwd: Path | None = None,
              show_errors: bool = False) -> bytes:
    """Runs a command to its end and returns its output; a status other than 0 is a Failure with what it said.
    With `show_errors` what it says goes to the terminal at once instead: for commands that report progress."""
    pipe = asyncio.subprocess.PIPE
    child = await _spawn(argv, stdin=pipe, stdout=pipe, stderr=None if show_errors else pipe, env=env, cwd=cwd)
    try:
        output, errors = await child.communicate(stdin)
    finally:
        if child.returncode is None:
            _kill_group(child.pid)
        await _wait(child)
    if child.returncode != 0:
        said = (output + (errors or b"")).decode(errors="replace")[-4000:]
        raise Failure(f"{what} failed with status {child.returncode}:\n{said}")
    return output


async def http_ok(port: int, path: str) -> bool:
    """Does an HTTP GET on a loopback port answer 2xx?"""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(LOOPBACK, port), 2)
    except (OSError, TimeoutError):
        return False
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
        status = await asyncio.wait_for(reader.readline(), 2)
        return status.split()[1:2] != [] and status.split()[1].startswith(b"2")
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
