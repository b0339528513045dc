#!/usr/bin/env python3
"""`make chaos`: real processes, a fleet, faults one after another, and the proof that nothing acknowledged was lost.

  chaos.py [--seconds 600] [--seed N] [--faults NAME,…] [--list]

First a run without faults, which must be green with nothing twice; then the faults in an order that the seed decides; then a run without again,
whose counters must be exact; then two services with a planted bug, which must turn the proof red. The status is not 0 when anything is violated.
Everything stays in `--out`: the report, the ledger of each run, the logs.
"""

import argparse
import asyncio
import json
import random
import shutil
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # a run leaves no file in the source tree
FOLDER = Path(__file__).resolve().parent
SOURCE = FOLDER.parent.parent
sys.path[:0] = [str(FOLDER), str(SOURCE / "docker/stack"), str(FOLDER.parent / "sim")]

from campaign import Campaign, control, quiet, with_faults  # noqa: E402
from controls import CONTROLS  # noqa: E402
from faults.table import FAULTS, SHORT  # noqa: E402
from oracle import Verdict  # noqa: E402
from parts.process import Failure, say  # noqa: E402
from stack import Interrupted, temporary_folder, until_signal  # noqa: E402
from world import World  # noqa: E402


def describe(campaign: Campaign) -> str:
    lines = [f"\n== {campaign.name} ({campaign.seconds:.0f} s)", campaign.table.rstrip()]
    if campaign.played:
        lines.append(f"  {'at':>5} {'healed':>7} {'recovery':>9} {'gap':>5}  fault")
    for one in campaign.played:
        lines.append(f"  {one.injected:>5.0f} {one.healed:>7.0f} {one.recovery:>9.1f} {one.gap:>5.0f}  {one.fault.number:>2} {one.fault.name}"
                     + (f" [{', '.join(one.fault.seen)}]" if one.fault.seen else ""))
        lines += [f"{'':>31}  {'held' if claim.is_kept else 'VIOLATED'}: {claim.what}" + (f" ({claim.detail})" if claim.detail else "") for claim in one.claims]
    lines += [f"  left out: {key} ({why})" for key, why in campaign.left_out.items()]
    return "\n".join(lines + [verdict.line() for verdict in campaign.verdicts])


class Result:
    """Of a whole run: what was judged, printed as it comes."""

    def __init__(self, out: Path, seed: int, versions: dict[str, str]):
        self._out, self._seed, self._versions = out, seed, versions
        self.campaigns: list[Campaign] = []
        self.judged: list[tuple[str, Verdict]] = []

    def add(self, campaign: Campaign, verdicts: list[Verdict] | None = None) -> None:
        """`verdicts`: what counts instead of the campaign's own, where red is what is wanted."""
        self.campaigns.append(campaign)
        self.judged += [(campaign.name, verdict) for verdict in (campaign.verdicts if verdicts is None else verdicts)]
        print(describe(campaign), flush=True)
        if verdicts is not None:
            print("  as a control:\n" + "\n".join(verdict.line() for verdict in verdicts), flush=True)
        self._write()

    @property
    def violated(self) -> list[tuple[str, Verdict]]:
        return [(name, verdict) for name, verdict in self.judged if not verdict.is_kept]

    def _write(self) -> None:
        report = {"seed": self._seed, "versions": self._versions, "held": len(self.judged) - len(self.violated), "checked": len(self.judged),
                  "violated": [f"{name}: {verdict.oracle} {verdict.promise}: {verdict.detail}" for name, verdict in self.violated],
                  "campaigns": [{"name": one.name, "seconds": round(one.seconds, 1), "faults": [played.as_json() for played in one.played], "left_out": one.left_out,
                                 "verdicts": [{"oracle": verdict.oracle, "promise": verdict.promise, "held": verdict.is_kept, "detail": verdict.detail}
                                              for verdict in one.verdicts]} for one in self.campaigns]}
        (self._out / "report.json").write_text(json.dumps(report, indent=2) + "\n")


def of_control(campaign: Campaign, one) -> list[Verdict]:
    """A control holds when the right oracle is red, and none that comes before it."""
    red = [verdict.oracle for verdict in campaign.violated()]
    said = f"red: {', '.join(red) or 'nothing'}"
    found = any(verdict.oracle == one.oracle and verdict.promise == one.promise for verdict in campaign.violated())
    return [Verdict(one.oracle, f"the proof finds {one.name}", found, said),
            Verdict(one.oracle, "and blames no earlier stage", all(oracle >= one.oracle for oracle in red), said)]


async def chaos(arguments) -> int:
    out = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    repeat = f"make chaos SEED={arguments.seed} SECONDS={arguments.seconds:.0f}"
    if arguments.short:
        repeat = f"docker/toolchain/enter env SLUICE_CHAOS_SEED={arguments.seed} tests/chaos/run"
    elif arguments.faults != list(FAULTS):
        repeat += f" FAULTS={','.join(arguments.faults)}"
    short = arguments.short
    with temporary_folder() as data:
        world = World(data, arguments.bin.resolve(), brokers=arguments.brokers, workers=arguments.workers, devices=arguments.devices,
                      rate=arguments.rate, seed=arguments.seed)
        result = Result(out, arguments.seed, world.versions)
        say("chaos", f"seed {arguments.seed}; " + ", ".join(f"{name} {version}" for name, version in world.versions.items()))
        try:
            world.steady_s = 1.5 if short else 3
            await world.start()
            if not arguments.only_controls:
                result.add(await quiet(world, out, "without faults", 5 if short else 15))
                result.add(await with_faults(world, out, "with faults", arguments.faults, FAULTS, seconds=arguments.seconds, seed=arguments.seed, once=short))
                if not short:
                    result.add(await quiet(world, out, "without faults, afterwards", 15))
            for one in CONTROLS if arguments.controls else []:
                campaign = await control(world, out, one.name, one.service, one.bug, one.lose)
                result.add(campaign, of_control(campaign, one))
        finally:
            await world.stop()
            logs = data / "log"
            if logs.exists():
                shutil.copytree(logs, out / "log", dirs_exist_ok=True)
    for name, verdict in result.violated:
        print(f"FAILED {name}: {verdict.oracle} {verdict.promise}: {verdict.detail}")
    held, checked = len(result.judged) - len(result.violated), len(result.judged)
    print(f"\nseed {arguments.seed}; invariants held / checked: {held} / {checked}; report, ledgers and logs: {out}\nthe same again: {repeat}")
    print(f"{held} passed, {checked - held} failed", flush=True)
    return 1 if result.violated else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="of faults (default: %(default).0f)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the faults' order and moments, and of the fleet (default: the time)")
    parser.add_argument("--faults", type=lambda text: text.split(","), help="names, as --list has them (default: all)")
    parser.add_argument("--list", action="store_true", help="print the faults and end")
    parser.add_argument("--short", action="store_true", help=f"each fault once; by default {', '.join(SHORT)}")
    parser.add_argument("--brokers", type=int, default=3, choices=(1, 3))
    parser.add_argument("--workers", type=int, default=2, help="validators, and as many writers (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=60)
    parser.add_argument("--rate", type=float, default=1.0, help="messages a second of each device (default: %(default)s)")
    parser.add_argument("--no-controls", dest="controls", action="store_false", help="without the planted bugs")
    parser.add_argument("--only-controls", action="store_true", help="the planted bugs alone")
    parser.add_argument("--bin", type=Path, default=SOURCE / "build/dev/bin", help="the built programs (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=SOURCE / "build/chaos", help="for report, ledgers and logs (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.list:
        for key, fault in FAULTS.items():
            print(f"{fault.number:>2} {key:<28} {fault.name}: {fault.how}")
        return 0
    arguments.faults = arguments.faults or (SHORT if arguments.short else list(FAULTS))
    if unknown := set(arguments.faults) - set(FAULTS):
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(FAULTS)}")
    random.seed(arguments.seed)
    try:
        return asyncio.run(until_signal(chaos(arguments)))
    except Interrupted:
        return 130
    except Failure as failure:
        say("chaos", str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main())
