#!/usr/bin/env python3
"""Feeds a fresh registry: a tenant with a key, a fleet, a device class, devices one by one and in bulk; says what to try next.

`make run` calls this when the registry is ready. Running it again finds what is there and adds nothing. From the environment:
  SLUICE_DEMO_URL       https://host:port of the registry
  SLUICE_DEMO_CA_FILE   authority that its certificate is from
  SLUICE_DEMO_KEY_FILE  an API key of the platform's admin
  SLUICE_DEMO_OUT       folder to leave the tenant's key in (default: that of the key file)
  SLUICE_DEMO_ADDRESSES, SLUICE_DEMO_OPS_TOKEN_FILE  for the address of the status page
"""

import json
import os
import sys
import urllib.parse
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker/stack"))
sys.dont_write_bytecode = True
from parts.demo import curl, demo_key_file, suggest  # noqa: E402
from parts.rest import Api, Refused  # noqa: E402

TENANT = "demo"
FLEET = "north"
DEVICE_CLASS = "meter"
IMPORTED = 300


def tenant_key(registry: Api, admin: str, file: Path) -> str:
    """A key of the demo tenant that works, kept in a file between runs."""
    if file.exists():
        key = file.read_text().strip()
        try:
            registry.call(key, "GET", "/v1/devices?page_size=1")
            return key
        except Refused as refused:
            if refused.status != 401:
                raise
    key = registry.call(admin, "POST", f"/v1/tenants/{TENANT}/api-keys", {"name": "demo", "role": "admin"})["key"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(key + "\n")
    return key


def meters() -> list[dict]:
    return [{"external_id": f"meter-{number:04}", "device_class": DEVICE_CLASS, "fleet_id": FLEET, "model": "M 3",
             "firmware_version": f"1.{number % 3}.0", "metadata": {"site": f"house-{number % 40}", "floor": number % 5}}
            for number in range(IMPORTED)]


def main() -> int:
    registry = Api(os.environ["SLUICE_DEMO_URL"], os.environ["SLUICE_DEMO_CA_FILE"])
    key_file = Path(os.environ["SLUICE_DEMO_KEY_FILE"])
    admin = key_file.read_text().strip()

    registry.make(admin, "/v1/tenants", {"tenant_id": TENANT, "name": "Demo"})
    key = tenant_key(registry, admin, demo_key_file())
    registry.make(key, "/v1/fleets", {"fleet_id": FLEET, "name": "Meters of the north"})
    registry.make(key, "/v1/device-classes", {"device_class_id": DEVICE_CLASS, "name": "Electricity meter", "schema_id": "meter.v1",
                                              "limits": {"messages_per_second": 10}})
    registry.make(key, "/v1/devices", {"external_id": "gateway-1", "device_class": DEVICE_CLASS, "fleet_id": FLEET, "metadata": {"site": "house-1"}})
    operation = registry.import_devices(key, meters())

    if "ops" in (own := json.loads(os.environ.get("SLUICE_DEMO_ADDRESSES", "{}")).get("device-registry", {})):
        token = Path(os.environ["SLUICE_DEMO_OPS_TOKEN_FILE"]).read_text().strip()
        # In the fragment, which a browser keeps to itself.
        suggest(0, "Status page", look=f"http://{own['ops']}/status#token={token}")
    search = urllib.parse.quote('metadata.site = "house-1"')
    suggest(6, "the devices of one house", run=curl(f"{registry.url}/v1/devices?filter={search}&page_size=3"))
    suggest(7, "register another device; the answer has its token, once",
            run=curl("-H", "Content-Type: application/json", "-d", json.dumps({"device_class": DEVICE_CLASS}), f"{registry.url}/v1/devices"))
    written = operation["devices_written"] + operation["devices_skipped"] + 1
    print(f"tenant `{TENANT}` has {written} devices of class `{DEVICE_CLASS}`", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(f"demo: the registry refused: {refused}")
