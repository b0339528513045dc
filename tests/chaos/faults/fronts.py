"""Faults of the fronts: what devices see first."""

import asyncio
import random

from .base import Fault, becomes
from member import total

CRASH_DEADLINE_S = 60


class FrontKilled(Fault):
    number, name = 1, "a front is killed"
    how = "SIGKILL under load, at a seeded moment"
    expects = "its devices go on at the other front"

    async def inject(self, world, dice: random.Random) -> None:
        await asyncio.sleep(dice.random())
        self.front = world.busiest_front()
        await self.front.kill()
        self.seen.append(f"{self.front.name} killed")

    async def heal(self, world) -> None:
        await self.front.start()

    async def verify(self, world, since: float, healed: float) -> None:
        self.claim("messages are acknowledged while it is gone", world.fleet.acknowledged(since, healed) > 0)


class FrontDiesBeforeAnswering(Fault):
    number, name = 2, "a front dies between Kafka's acknowledgement and its own"
    how = "crash point front_before_acknowledging, at a seeded pass"
    expects = "devices send again; duplicates in telemetry.raw alone"
    hold_s = 3

    async def inject(self, world, dice: random.Random) -> None:
        self.front = dice.choice(world.fronts)
        await self.front.kill()
        point = f"front_before_acknowledging:{dice.randrange(1, 40)}"
        # Not start(): it may die before it is seen ready.
        await self.front.launch(SLUICE_CRASH_POINT=point)
        self.front.may_be_down = True
        await becomes(lambda: self.front.is_ready() if self.front.is_running else True, CRASH_DEADLINE_S)
        # Devices that left for the other front come back: each lost connection leads to the next address.
        world.fleet.storm()
        status = await self.front.dies(CRASH_DEADLINE_S)
        self.claim("it dies at the crash point", status == -9, f"status {status} at {point}")
        self.seen.append(point)

    async def heal(self, world) -> None:
        await self.front.kill()
        await self.front.start()


class FrontFrozen(Fault):
    number, name = 6, "a front is frozen, then goes on"
    how = "SIGSTOP for longer than its lease, SIGCONT"
    expects = "devices go to the other front; the zombie acknowledges nothing and finds its lease over"
    hold_s = 14

    async def inject(self, world, dice: random.Random) -> None:
        self.front = world.busiest_front()
        self.leases = total(await self.front.scrape(), "sluice_mqtt_session_store_leases_lost_total")
        self.front.freeze()
        self.seen.append(f"{self.front.name} frozen")

    async def heal(self, world) -> None:
        self.front.thaw()

    async def verify(self, world, since: float, healed: float) -> None:
        async def noticed() -> bool:
            return total(await self.front.scrape(), "sluice_mqtt_session_store_leases_lost_total") > self.leases
        self.claim("messages are acknowledged by the other front", world.fleet.acknowledged(since + 6, healed) > 0)
        self.claim("the front has noticed that its lease was over", await becomes(noticed))


class AllFrontsKilled(Fault):
    number, name = 22, "all devices come back at once"
    how = "both fronts killed and started again, then a reboot of every device"
    expects = "full house within the budget"
    hold_s = 1

    async def inject(self, world, dice: random.Random) -> None:
        await asyncio.gather(*(front.kill() for front in world.fronts))
        await asyncio.gather(*(front.start() for front in world.fronts))
        world.fleet.storm()

    async def heal(self, world) -> None:
        await world.revive(world.fronts)


class RollingRestart(Fault):
    number, name = 35, "every process is restarted in turn"
    how = "SIGTERM (drain), start, one after another; the same version"
    expects = "ends with status 0, nobody is without a front"
    hold_s = 0

    async def inject(self, world, dice: random.Random) -> None:
        for member in world.members:
            if member is world.registry:
                continue
            await member.stop()
            self.claim(f"{member.name} ends in good order", member.process.status == 0, f"status {member.process.status}")
            await member.start()

    async def heal(self, world) -> None:
        pass
