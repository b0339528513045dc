"""A `sluice-fault-proxy` before one listener: between our services and what they depend on."""

import asyncio
from pathlib import Path

from parts.process import LOOPBACK, Failure

ANSWER_DEADLINE_S = 20


class Proxy:
    """Takes the commands of libs/testing's fault proxy: freeze, thaw, delay, drop, reset, refuse, heal."""

    def __init__(self, program: Path, name: str, port: int, target: str):
        self.name, self.address = name, f"{LOOPBACK}:{port}"
        self._argv = [str(program), "--target", target, "--listen", self.address]
        self._child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        # It ends when its standard input does, so not even our own death leaves it behind.
        pipe = asyncio.subprocess.PIPE
        self._child = await asyncio.create_subprocess_exec(*self._argv, stdin=pipe, stdout=pipe, start_new_session=True)
        if not await self._line():
            raise Failure(f"the proxy before {self.name} did not start")

    async def _line(self) -> str:
        return (await asyncio.wait_for(self._child.stdout.readline(), ANSWER_DEADLINE_S)).decode().strip()

    async def tell(self, command: str) -> str:
        self._child.stdin.write(f"{command}\n".encode())
        answer = await self._line()
        if answer.startswith("error"):
            raise Failure(f"the proxy before {self.name}: {command}: {answer}")
        return answer

    async def stop(self) -> None:
        if self._child is not None:
            self._child.stdin.close()
            await self._child.wait()


async def tell_all(proxies: list[Proxy], *commands: str) -> None:
    for command in commands:
        await asyncio.gather(*(proxy.tell(command) for proxy in proxies))
