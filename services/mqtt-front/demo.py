#!/usr/bin/env python3
"""Connects a first device: registers it, publishes a message over MQTT that Kafka must acknowledge, says how to do the same.

`make run` calls this when the front is ready, after the registry's demo. From the environment:
  SLUICE_DEMO_ADDRESSES  {"service": {"listener": "host:port"}} as JSON
  SLUICE_DEMO_CA_FILE    authority that the certificates are from
  SLUICE_DEMO_KEY_FILE   an API key of the platform's admin; the demo tenant's lies beside it
"""

import json
import os
import shlex
import subprocess
import sys
import urllib.error
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker/stack"))
sys.dont_write_bytecode = True
from parts.demo import demo_key_file, suggest  # noqa: E402
from parts.process import write_secret  # noqa: E402
from parts.rest import Api, Refused  # noqa: E402

TENANT = "demo"
DEVICE = "hello-1"


def device_with_token(registry: Api, key: str, file: Path) -> dict:
    """A device of the demo tenant and its token, kept between runs: the registry tells a token once."""
    if file.exists():
        return json.loads(file.read_text())
    made = registry.call(key, "POST", "/v1/devices", {"external_id": DEVICE, "device_class": "meter", "fleet_id": "north"})
    device = {"id": made["device_id"], "token": made["auth_token"]}
    write_secret(file, json.dumps(device).encode())  # before anything can fail: it is told once
    return device


def main() -> int:
    addresses = json.loads(os.environ["SLUICE_DEMO_ADDRESSES"])
    front = addresses["mqtt-front"]
    tenant_key = demo_key_file()
    if "device-registry" not in addresses or not tenant_key.exists():
        print("mqtt-front: no demo without the registry's")
        return 0
    ca = os.environ["SLUICE_DEMO_CA_FILE"]
    registry = Api(f"https://{addresses['device-registry']['http']}", ca)
    device_file = tenant_key.parent / "demo-device.json"
    device = device_with_token(registry, tenant_key.read_text().strip(), device_file)
    topic = f"tenant/{TENANT}/device/{device['id']}/telemetry"
    host, port = front["mqtts"].rsplit(":", 1)
    publish = ["mosquitto_pub", "--cafile", ca, "-h", host, "-p", port, "-i", device["id"], "-u", device["id"],
               "-P", device["token"], "-q", "1", "-t", topic]
    # For the query's demo, which publishes as this device.
    write_secret(device_file, json.dumps(device | {"publish": publish}).encode())
    publish += ["-m", '{"metrics":{"temperature":21.5}}']
    # Its status says whether the message was acknowledged: at QoS 1 that is Kafka's word.
    subprocess.run(publish, check=True, timeout=30)
    suggest(1, f"publish as a device of your own, `{DEVICE}`: it returns when Kafka has the message", run=shlex.join(publish))
    print(f"device `{DEVICE}` has published its first message", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (subprocess.SubprocessError, urllib.error.URLError, Refused) as fault:
        sys.exit(f"demo: {fault}")
