"""Faults of the machine."""

import random
import resource

from .base import Fault


class OutOfMemory(Fault):
    number, name = 34, "a process gets no more memory"
    how = "its address space is limited to what it has (RLIMIT_AS), under a reboot of every device"
    expects = "sheds or dies; then it is a killed one"
    hold_s = 8

    async def inject(self, world, dice: random.Random) -> None:
        self.member = dice.choice([member for member in world.members if member is not world.registry])
        self.member.may_be_down = True
        with open(f"/proc/{self.member.process.pid}/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
        resource.prlimit(self.member.process.pid, resource.RLIMIT_AS, (pages * resource.getpagesize(), resource.RLIM_INFINITY))
        world.fleet.storm()

    async def heal(self, world) -> None:
        status = await self.member.dies(0.1)
        self.seen.append(f"{self.member.name} {'lived' if status is None else f'ended with status {status}'}")
        # What lived may have lost a thread's work to it: an orchestrator would not know, so neither do we.
        if status is None:
            resource.prlimit(self.member.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            self.member.may_be_down = False
        else:
            await self.member.start()
