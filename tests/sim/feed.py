#!/usr/bin/env python3
"""Registers a fleet of simulated devices with a running platform and runs sluice-sim with them until Ctrl-C.

`make run` starts this when every service is ready and fed. Devices and what they prove themselves with are kept in a file, since the
registry tells a token once. Everything sluice-sim can compare it compares at the end: Kafka, the validator's verdicts where the validator
runs, every stored sample where the store's API runs. From the environment:
  SLUICE_DEMO_ADDRESSES      {"service": {"listener": "host:port"}} as JSON
  SLUICE_DEMO_CA_FILE        authority that the certificates are from; its key lies beside it
  SLUICE_DEMO_KEY_FILE       an API key of the platform's admin; the demo tenant's lies beside it
  SLUICE_DEMO_KAFKA_BROKERS  host:port,…
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "docker/stack"))
sys.dont_write_bytecode = True
from parts.rest import Api, Refused  # noqa: E402

TENANT = "demo"
FLEET = "simulated"
# What the devices of a profile say (fleet.cpp), as the table that their messages are judged by.
PROFILES = {
    "meter": [{"name": "energy_wh", "type": "int64", "unit": "W.h", "min": 0}, {"name": "power_w", "type": "double", "unit": "W", "min": 0, "max": 20_000},
              {"name": "voltage_v", "type": "double", "unit": "V", "min": 180, "max": 280}, {"name": "relay_closed", "type": "bool"}],
    "vehicle": [{"name": "latitude", "type": "double", "unit": "deg", "min": -90, "max": 90},
                {"name": "longitude", "type": "double", "unit": "deg", "min": -180, "max": 180},
                {"name": "speed_kmh", "type": "int64", "unit": "km/h", "min": 0, "max": 300}, {"name": "ignition", "type": "bool"}],
    "sensor": [{"name": "temperature_c", "type": "double", "unit": "Cel", "min": -40, "max": 85},
               {"name": "humidity_percent", "type": "double", "unit": "%", "min": 0, "max": 100},
               {"name": "battery_mv", "type": "int64", "unit": "mV", "min": 0, "max": 5_000}, {"name": "is_charging", "type": "bool"}],
}
SCHEMA_IN_USE_S = 2  # the validator promises one second; a message before that would be one of an unknown schema
CERTIFICATE_EVERY = 20  # each so many'th device has a certificate instead of a token


def write_secret(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.touch(mode=0o600)
    file.write_text(text)


def issue(ca: Path, device: str, folder: Path) -> tuple[Path, Path]:
    """A client certificate: common name the device, organization the tenant."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate, key = folder / f"{device}.crt", folder / f"{device}.key"
    subprocess.run(["openssl", "req", "-x509", "-CA", ca, "-CAkey", ca.with_suffix(".key"), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-subj", f"/O={TENANT}/CN={device}", "-days", "90", "-addext", "extendedKeyUsage=clientAuth",
                    "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def register(registry: Api, key: str, numbers: range, ca: Path, folder: Path) -> list[str]:
    """Registers these devices in bulk; gives their lines for sluice-sim."""
    registry.make(key, "/v1/fleets", {"fleet_id": FLEET, "name": "Simulated devices"})
    profile_of = {f"sim-{number:05}": tuple(PROFILES)[number % len(PROFILES)] for number in numbers}
    operation = registry.import_devices(
        key, [{"external_id": external, "device_class": f"sim-{profile}", "fleet_id": FLEET} for external, profile in profile_of.items()],
        "?issue_tokens=true")
    made = registry.send(key, "POST", f"/v1/operations/{operation['operation_id']}:take-result").decode()
    lines = []
    for count, device in enumerate(json.loads(line) for line in made.splitlines()):
        profile, identity = profile_of[device["external_id"]], device["device_id"]
        if count % CERTIFICATE_EVERY:
            lines.append(f"{profile},{TENANT},{identity},{device['auth_token']}")
        else:
            registry.call(key, "POST", f"/v1/devices/{identity}/credentials", {"kind": "certificate", "common_name": identity})
            certificate, certificate_key = issue(ca, identity, folder)
            lines.append(f"{profile},{TENANT},{identity},,{certificate},{certificate_key}")
    return lines


def give_schemas(registry: Api, validator: Api, key: str) -> None:
    """Registers each profile's table and makes it the schema of the profile's class. What is there already stays."""
    is_new = False
    for profile, metrics in PROFILES.items():
        name = f"sim-{profile}"
        before = registry_class(registry, key, name)
        validator.call(key, "POST", f"/v1/schemas/{name}/versions", {"kind": "metrics_table", "document": {"metrics": metrics}})
        if before.get("schema_id") != name:
            registry.call(key, "PATCH", f"/v1/device-classes/{name}", {"schema_id": name}, content_type="application/merge-patch+json")
            is_new = True
    if is_new:
        time.sleep(SCHEMA_IN_USE_S)


def registry_class(registry: Api, key: str, name: str) -> dict:
    registry.make(key, "/v1/device-classes", {"device_class_id": name})
    return registry.call(key, "GET", f"/v1/device-classes/{name}")


def devices_file(registry: Api, key: str, count: int, ca: Path, secrets: Path) -> Path:
    """The file for sluice-sim with that many devices, of which those that are missing are registered."""
    everyone = secrets / "sim-devices"
    lines = everyone.read_text().splitlines() if everyone.exists() else []
    if len(lines) < count:
        lines += register(registry, key, range(len(lines), count), ca, secrets / "sim-certificates")
        write_secret(everyone, "\n".join(lines) + "\n")
    wanted = secrets / "sim-devices-now"
    write_secret(wanted, "\n".join(lines[:count]) + "\n")
    return wanted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--bin", type=Path, default=SOURCE / "build/dev/bin", help="where sluice-sim is (default: %(default)s)")
    parser.add_argument("rest", nargs="*", help="for sluice-sim, behind --")
    arguments = parser.parse_args()
    addresses = json.loads(os.environ["SLUICE_DEMO_ADDRESSES"])
    ca, secrets = Path(os.environ["SLUICE_DEMO_CA_FILE"]), Path(os.environ["SLUICE_DEMO_KEY_FILE"]).parent
    tenant_key = secrets / "demo-key"
    program = arguments.bin / "sluice-sim"
    if not {"device-registry", "mqtt-front"} <= addresses.keys() or not tenant_key.exists() or not program.exists():
        print("fleet: none without the registry, the MQTT front, the demo tenant and sluice-sim")
        return 0
    registry = Api(f"https://{addresses['device-registry']['http']}", ca)
    if "http" in addresses.get("schema-validator", {}):
        give_schemas(registry, Api(f"https://{addresses['schema-validator']['http']}", ca), tenant_key.read_text().strip())
    devices = devices_file(registry, tenant_key.read_text().strip(), arguments.devices, ca, secrets)
    front = addresses["mqtt-front"]
    command = [program, "--devices", devices, "--mqtt", front["mqtt"], "--mqtts", front["mqtts"], "--ca", ca,
               "--seconds", "0", "--drain", "10", "--settle", "20", "--storm-every", "120"]
    if brokers := os.environ.get("SLUICE_DEMO_KAFKA_BROKERS"):
        command += ["--brokers", brokers]
        if "schema-validator" in addresses:
            command += ["--verdicts"]
            if "http" in addresses.get("tsdb-writer", {}):
                command += ["--query", f"https://{addresses['tsdb-writer']['http']}", "--query-ca", ca, "--query-key", tenant_key]
    command = [str(word) for word in itertools.chain(command, arguments.rest)]
    # In our place: signals and the terminal are its own.
    os.execv(command[0], command)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (subprocess.SubprocessError, urllib.error.URLError, Refused) as fault:
        sys.exit(f"fleet: {fault}")
