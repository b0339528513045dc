"""O1 to O9: what must hold after any fault, judged by what the fleet, the tables and the processes say."""

import asyncio
from dataclasses import dataclass

from member import Member, Usage, total
from setting_up import OTHER_TENANT, TENANT

# O8, on a machine that has other things to do.
GAP_BUDGET_S = 120.0
# O9: what a process may have more than a like one had before anything happened. Pools and caches grow to their bounds.
MORE_MB, MORE_FDS, MORE_THREADS = 192.0, 48, 8
CALM_DEADLINE_S = 45
DAY_MS = 86_400_000
ASKED_DEVICES = 20  # of each tenant check


@dataclass(frozen=True)
class Verdict:
    oracle: str
    promise: str
    is_kept: bool
    detail: str = ""

    def line(self) -> str:
        return f"  {self.oracle:<3} {'held    ' if self.is_kept else 'VIOLATED'} {self.promise}{f' ({self.detail})' if self.detail else ''}"


def proof(report: dict, *, is_quiet: bool) -> list[Verdict]:
    """O1 to O6, of sluice-sim's report."""
    sums = report["completeness"]
    raw, verdicts, samples = sums.get("raw"), sums.get("verdicts"), sums.get("samples")
    if raw is None or verdicts is None or samples is None:
        return [Verdict("O1", "the proof was made", False, "the report lacks a stage")]

    def none(oracle: str, promise: str, **counts: int) -> Verdict:
        return Verdict(oracle, promise, not any(counts.values()), ", ".join(f"{name} {count}" for name, count in counts.items()))

    missing = raw["missing"]
    share = 100.0 if not missing else min(99.999, 100.0 * (1 - missing / max(1, sums["acknowledged"])))
    found = [
        Verdict("O1", "what was acknowledged is in Kafka", missing == 0, f"{share:.3f} % of {sums['acknowledged']}"),
        none("O2", "what is in Kafka is in the tables or set aside", neither=verdicts["neither"], samples_missing=samples["missing"]),
        none("O3", "nothing is there that was not sent", records=raw["foreign"], misjudged=verdicts["misjudged"], both=verdicts["both"],
             samples_wrong=samples["wrong"], samples=samples["foreign"]),
        none("O4", "no sample is stored twice", samples=samples["duplicated"]),
        none("O5", "order of each device is kept", raw=raw["out_of_order"], valid=verdicts["out_of_order"]),
        Verdict("O6", "what was refused for good is not in Kafka", raw["refused_there"] == 0, f"{raw['refused_there']} of {raw['refused']}"),
        Verdict("O2", "everything published is acknowledged in the end", report["unanswered"] == 0, f"{report['unanswered']} unanswered"),
        Verdict("O3", "the server says nothing that no server may say", not report["faults"], str(report["faults"] or "")),
    ]
    if is_quiet:
        found.append(Verdict("O4", "nothing is in Kafka twice where nothing broke", raw["duplicated"] == 0 and verdicts["repeated"] == 0,
                             f"{raw['duplicated']} in telemetry.raw, {verdicts['repeated']} verdicts"))
    return found


async def of_tables(world) -> list[Verdict]:
    """O3 and O4 in what aggregates and other tenants see, which the proof does not ask."""
    devices = [line.split(",")[:3] for line in world.devices_file.read_text().splitlines()[:ASKED_DEVICES]]
    # Whole days, since windows of aggregates are: what earlier runs stored is in both answers.
    today = world.fleet.report["start_ms"] // DAY_MS * DAY_MS
    metric_of = {"meter": "energy_wh", "vehicle": "speed_kmh", "sensor": "temperature_c"}
    unequal, seen = [], []
    count = 0
    for profile, _, device in devices:
        window = f"/v1/devices/{device}/metrics?metric={metric_of[profile]}&from={today - DAY_MS}&to={today + 2 * DAY_MS}"
        writer = world.of("tsdb-writer")[0]
        raw_status, raw = await world.ask(writer, f"{window}&resolution=raw")
        sum_status, counted = await world.ask(writer, f"{window}&agg=count&resolution=1d")
        stored = sum(len(series["points"]) for series in raw["series"]) if raw_status == 200 else -1
        told = sum(point[1] for series in counted["series"] for point in series["points"] if point[1] is not None) if sum_status == 200 else -2
        count += max(0, stored)
        if stored != told:
            unequal.append(f"{device}: {stored} raw, count {told}")
        status, _ = await world.ask(writer, window, tenant=OTHER_TENANT)
        if status != 404:
            seen.append(f"{device}: {status}")
    return [Verdict("O4", "an aggregate counts each stored sample once", not unequal and count > 0, "; ".join(unequal[:3]) or f"{count} samples of {len(devices)} devices"),
            Verdict("O3", f"another tenant than {TENANT} sees none of its devices", not seen, "; ".join(seen[:3]) or f"{len(devices)} asked")]


# --- O7


COUNTED = (("mqtt-front", "sluice_mqtt_received_total", ""), ("mqtt-front", "sluice_mqtt_ingested_total", ""),
           ("schema-validator", "sluice_validator_messages_total", ""), ("schema-validator", "sluice_validator_samples_total", ""),
           ("schema-validator", "sluice_validator_rejected_total", ""), ("tsdb-writer", "sluice_tsdb_writer_records_total", ""))


def seen_counts(world) -> dict[str, float]:
    """Sums over the present lives of all processes, as they were last seen."""
    return {name: sum(total(member.counters, name, label) for member in world.of(service)) for service, name, label in COUNTED}


def of_all_lives(world) -> dict[str, float]:
    """The same with what those that died were last seen to have counted: never more than the truth."""
    return {name: sum(total(life, name, label) for member in world.of(service) for life in member.lives) for service, name, label in COUNTED}


def _expected(report: dict) -> dict[str, int]:
    raw, verdicts = report["completeness"]["raw"], report["completeness"]["verdicts"]
    rejected = sum(verdicts["rejected"].values()) if isinstance(verdicts["rejected"], dict) else verdicts["rejected"]
    valid = raw["records"] - rejected - verdicts["replays_left_out"]
    return {"sluice_mqtt_received_total": report["publishes"], "sluice_mqtt_ingested_total": raw["records"],
            "sluice_validator_messages_total": raw["records"], "sluice_validator_samples_total": valid,
            "sluice_validator_rejected_total": rejected, "sluice_tsdb_writer_records_total": valid}


async def counters_are_exact(world, before: dict[str, float]) -> list[Verdict]:
    """O7 where nobody died: what was counted since `before` is what the fleet and Kafka know."""
    expected = _expected(world.fleet.report)
    counted: dict[str, float] = {}

    async def is_equal() -> bool:
        await asyncio.gather(*(member.scrape() for member in world.members))
        now = seen_counts(world)
        counted.update({name: now[name] - before[name] for name in now})
        return counted == expected
    await _becomes(is_equal)
    wrong = [f"{name} {counted[name]:.0f} instead of {expected[name]}" for name in expected if counted[name] != expected[name]]
    return [Verdict("O7", "our counters are the ledger's sums", not wrong, "; ".join(wrong) or f"{len(expected)} counters")]


def counters_are_bounded(world, before: dict[str, float]) -> list[Verdict]:
    """O7 among faults: a process that dies takes its last second with it, but never counts what was not."""
    report, more = world.fleet.report, world.prober_published
    bounds = {"sluice_mqtt_received_total": report["publishes"] + 2 * more, "sluice_mqtt_ingested_total": report["completeness"]["raw"]["records"] + more}
    now = of_all_lives(world)
    wrong = [f"{name} {now[name] - before[name]:.0f}, at most {bound} were" for name, bound in bounds.items() if now[name] - before[name] > bound]
    return [Verdict("O7", "our counters count nothing that was not", not wrong, "; ".join(wrong))]


# --- O9


def base_of(members: list[Member]) -> dict[str, Usage]:
    """What the processes of a service have at most while all is well."""
    base: dict[str, Usage] = {}
    for member in members:
        usage = member.usage()
        if usage is None:
            continue
        most = base.get(member.service, usage)
        base[member.service] = Usage(max(most.rss_mb, usage.rss_mb), max(most.fds, usage.fds), max(most.threads, usage.threads))
    return base


async def back_to_base(members: list[Member], base: dict[str, Usage]) -> list[Verdict]:
    above: list[str] = []

    async def is_calm() -> bool:
        above.clear()
        for member in members:
            usage, least = member.usage(), base[member.service]
            if usage is None:
                above.append(f"{member.name} is gone")
            elif usage.rss_mb > least.rss_mb + MORE_MB or usage.fds > least.fds + MORE_FDS or usage.threads > least.threads + MORE_THREADS:
                above.append(f"{member.name}: {usage.rss_mb:.0f} MB, {usage.fds} files, {usage.threads} threads; "
                             f"was {least.rss_mb:.0f} MB, {least.fds}, {least.threads}")
        return not above
    await _becomes(is_calm)
    most = max((usage.rss_mb - base[member.service].rss_mb for member in members if (usage := member.usage())), default=0)
    return [Verdict("O9", "memory, files and threads are back to base", not above, "; ".join(above) or f"at most {most:.0f} MB more")]


async def _becomes(probe) -> None:
    end = asyncio.get_running_loop().time() + CALM_DEADLINE_S
    while not await probe() and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.5)
