#!/usr/bin/env python3
"""Follows a first message to the answer of a query; says what to ask next.

`make run` calls this when the writer is ready, after the other demos. From the environment:
  SLUICE_DEMO_URL        https://host:port of the query API
  SLUICE_DEMO_CA_FILE    authority that its certificate is from
  SLUICE_DEMO_KEY_FILE   an API key of the platform's admin; beside it lie the demo tenant's and what the front's demo left
"""

import json
import os
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker/stack"))
sys.dont_write_bytecode = True
from parts.demo import curl, demo_key_file, suggest  # noqa: E402
from parts.rest import Api, Refused  # noqa: E402

DEADLINE_S = 30
# The first messages of a fresh installation may be judged before the validator knows the schema that its demo made.
PUBLISH_AGAIN_S = 3


def newest_temperature(api: Api, key: str, device: str) -> dict | None:
    try:
        latest = api.call(key, "GET", f"/v1/devices/{device}/latest")
    except Refused as refused:
        if refused.status == 404:
            return None  # nothing of it was ever stored
        raise
    return next((metric for metric in latest["values"] if metric["metric"] == "temperature"), None)


def main() -> int:
    key_file = demo_key_file()
    device_file = key_file.parent / "demo-device.json"
    if not device_file.exists():
        print("tsdb-writer: no demo without the front's", flush=True)
        return 0
    api, key = Api(os.environ["SLUICE_DEMO_URL"], os.environ["SLUICE_DEMO_CA_FILE"]), key_file.read_text().strip()
    device = json.loads(device_file.read_text())
    value = round(20 + time.time() % 5, 3)  # another one each time, so that what is found is what was sent
    publish = [*device["publish"], "-m", json.dumps({"metrics": {"temperature": value}})]
    end, began = time.monotonic() + DEADLINE_S, 0.0
    while (found := newest_temperature(api, key, device["id"])) is None or found["value"] != value:
        if time.monotonic() > end:
            sys.exit(f"demo: what was published is not in the answer after {DEADLINE_S} s: {found}")
        if time.monotonic() - began > PUBLISH_AGAIN_S:
            began = time.monotonic()
            subprocess.run(publish, check=True, timeout=DEADLINE_S)
        time.sleep(0.02)
    print(f"a message was published and {time.monotonic() - began:.2f} s later in the answer of a query", flush=True)

    suggest(2, "read it back", run=curl(f"{api.url}/v1/devices/{device['id']}/latest"))
    suggest(3, "the last hour of it as CSV", run=curl(f"{api.url}/v1/devices/{device['id']}/metrics?metric=temperature&format=csv"))
    question = urllib.parse.quote("avg by (device_type) ({__name__=~'temperature|power_w|speed_kmh'})")
    suggest(4, "ask the whole fleet, in PromQL", run=curl(f"{api.url}/api/v1/query?query={question}"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(f"demo: the query API refused: {refused}")
    except (subprocess.SubprocessError, OSError) as fault:
        sys.exit(f"demo: {fault}")
