"""A fleet from its first message to its proof, with or without faults in between."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import oracle
from faults.base import Claim, Fault
from oracle import Verdict
from parts.process import Failure, say

SETTLE_S = 180  # for what is under way behind Kafka when the devices stop
RED_SETTLE_S = 5  # where something is known to be missing, waiting for it only takes time


@dataclass
class Played:
    """One fault as it went. Times are seconds since the fleet's first message."""
    key: str
    fault: Fault
    injected: float = 0
    healed: float = 0
    recovery: float = 0
    gap: float = 0
    claims: list[Claim] = field(default_factory=list)

    def as_json(self) -> dict:
        return {"fault": self.key, "number": self.fault.number, "name": self.fault.name, "how": self.fault.how,
                "expected": self.fault.expects, "injected_s": round(self.injected, 1),
                "healed_s": round(self.healed, 1), "recovery_s": round(self.recovery, 1), "longest_gap_s": round(self.gap, 1), "seen": self.fault.seen,
                "claims": [{"what": one.what, "kept": one.is_kept, "detail": one.detail} for one in self.claims]}


@dataclass
class Campaign:
    name: str
    verdicts: list[Verdict] = field(default_factory=list)
    played: list[Played] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    table: str = ""
    seconds: float = 0

    @property
    def is_green(self) -> bool:
        return all(verdict.is_kept for verdict in self.verdicts)

    def violated(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if not verdict.is_kept]


async def quiet(world, folder: Path, name: str, seconds: float) -> Campaign:
    """Without faults: everything exactly once, and our counters exact."""
    campaign, began = Campaign(name), time.monotonic()
    await world.until_idle()
    before = oracle.seen_counts(world)
    await world.begin_fleet(folder, name, settle=SETTLE_S, is_quiet=True)
    await asyncio.sleep(seconds)
    await world.fleet.finish()
    campaign.verdicts = oracle.proof(world.fleet.report, is_quiet=True) + await oracle.of_tables(world)
    campaign.verdicts += await oracle.counters_are_exact(world, before) + _deaths(world)
    campaign.table, campaign.seconds = world.fleet.table, time.monotonic() - began
    return campaign


async def with_faults(world, folder: Path, name: str, keys: list[str], table: dict, *, seconds: float, seed: int, once: bool) -> Campaign:
    """Faults one after another, in an order that the seed decides: each once and half as long (`once`), or again and again until the time is over."""
    campaign, began, dice = Campaign(name), time.monotonic(), random.Random(seed)
    counted, published = oracle.of_all_lives(world), world.prober_published
    await world.begin_fleet(folder, name, settle=SETTLE_S, is_quiet=False)
    world.prober_published = 0
    base = oracle.base_of(world.members)
    waiting: list[str] = []
    while True:
        if not waiting and (not campaign.played or not once):
            waiting = dice.sample(keys, len(keys))
        if not waiting or (not once and time.monotonic() - began > seconds):
            break
        key = waiting.pop(0)
        fault = table[key]()
        if why := fault.impossible(world):
            campaign.left_out[key] = why
            if len(campaign.left_out) == len(set(keys)):
                break
            continue
        campaign.played.append(await _play(world, key, fault, random.Random(dice.randrange(1 << 62)), began,
                                           pace=0.5 if once else 1))
    for key in keys:
        if key not in campaign.left_out and all(one.key != key for one in campaign.played):
            campaign.left_out[key] = "no time"
    await world.heal()
    seconds_, wrong = await world.until_recovered(120)
    campaign.verdicts.append(Verdict("O8", "all is well at the end", not wrong, wrong or f"after {seconds_:.0f} s"))
    end = time.time()
    await world.fleet.finish()
    campaign.verdicts += oracle.proof(world.fleet.report, is_quiet=False) + await oracle.of_tables(world)
    campaign.verdicts += oracle.counters_are_bounded(world, counted) + _recovery(campaign, world, end)
    campaign.verdicts += await oracle.back_to_base(world.members, base) + _deaths(world)
    world.prober_published += published
    campaign.table, campaign.seconds = world.fleet.table, time.monotonic() - began
    return campaign


async def _play(world, key: str, fault: Fault, dice: random.Random, began: float, *, pace: float) -> Played:
    played = Played(key, fault)
    hold = fault.hold_s * pace * dice.uniform(0.8, 1.2)
    say("chaos", f"{fault.number:>2} {fault.name}")
    injecting = time.time()
    played.injected = time.monotonic() - began
    trouble = ""
    try:
        await fault.inject(world, dice)
        held_since = time.time()
        await fault.hold(world, hold)
        await fault.heal(world)
    except (Failure, OSError, TimeoutError, asyncio.IncompleteReadError) as failure:
        trouble, held_since = str(failure) or type(failure).__name__, injecting
        await world.heal()
    healed = time.time()
    played.healed = time.monotonic() - began
    played.recovery, wrong = await world.until_recovered(fault.budget_s)
    fault.claim("it could be carried out", not trouble, trouble)
    fault.claim(f"all is as before within {fault.budget_s:.0f} s", not wrong, wrong or f"{played.recovery:.1f} s")
    if not trouble:
        try:
            await fault.verify(world, held_since, healed)
        except (Failure, OSError, TimeoutError, asyncio.IncompleteReadError) as failure:
            fault.claim("it could be looked at", False, str(failure) or type(failure).__name__)
    played.gap = world.fleet.longest_gap(injecting, time.time())
    played.claims = fault.claims
    for claim in fault.claims:
        if not claim.is_kept:
            say("chaos", f"   VIOLATED: {claim.what}: {claim.detail}")
    return played


def _recovery(campaign: Campaign, world, end: float) -> list[Verdict]:
    gap = world.fleet.longest_gap(world.fleet.moments[0]["at"], end)
    broken = [f"{one.key}: {claim.what}{f': {claim.detail}' if claim.detail else ''}" for one in campaign.played for claim in one.claims if not claim.is_kept]
    slowest = max((one.recovery for one in campaign.played), default=0)
    claims = sum(len(one.claims) for one in campaign.played)
    return [Verdict("O8", "every fault is recovered from, and did what it may alone", not broken,
                    "; ".join(broken) or f"{claims} claims; slowest recovery {slowest:.0f} s"),
            Verdict("O8", f"no gap in acknowledgements above {oracle.GAP_BUDGET_S:.0f} s", gap <= oracle.GAP_BUDGET_S, f"longest {gap:.0f} s")]


def _deaths(world) -> list[Verdict]:
    deaths, world.deaths = world.deaths, []
    return [Verdict("O9", "no process ended that was not made to", not deaths, "; ".join(deaths))]


async def control(world, folder: Path, name: str, service: str, bug: str, lose) -> Campaign:
    """A service with a planted bug, and a fault that makes it show: the proof must be red."""
    campaign, began = Campaign(name), time.monotonic()

    async def restart_all(always: dict[str, str]) -> None:
        for member in world.of(service):
            member.always = always
            await member.stop()
        await asyncio.gather(*(member.start() for member in world.of(service)))
    await restart_all({"SLUICE_PLANTED_BUG": bug})
    await world.begin_fleet(folder, name, settle=RED_SETTLE_S, is_quiet=False)
    await lose(world)
    await world.heal()
    await world.until_recovered(120)
    await world.fleet.finish()
    campaign.verdicts = oracle.proof(world.fleet.report, is_quiet=False)
    campaign.table, campaign.seconds = world.fleet.table, time.monotonic() - began
    await restart_all({})
    world.deaths.clear()
    return campaign
