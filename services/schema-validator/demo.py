#!/usr/bin/env python3
"""Gives the demo's meters their schema; says what to try next.

`make run` calls this when the validator is ready. Running it again finds what is there. From the environment:
  SLUICE_DEMO_URL       https://host:port of the validator
  SLUICE_DEMO_CA_FILE   authority that its certificate is from
  SLUICE_DEMO_KEY_FILE  an API key of the platform's admin; the registry's demo left the tenant's beside it
  SLUICE_DEMO_OUT       folder with the tenant's key (default: that of the key file)
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker/stack"))
sys.dont_write_bytecode = True
from parts.demo import curl, demo_key_file, suggest  # noqa: E402
from parts.rest import Api, Refused  # noqa: E402

SCHEMA = "meter.v1"  # the one that the registry's demo names in its device class
TABLE = {"metrics": [{"name": "temperature", "type": "double", "unit": "Cel", "min": -60, "max": 150},
                     {"name": "power", "type": "double", "unit": "W"},
                     {"name": "energy", "type": "double", "unit": "kW.h", "min": 0}]}


def main() -> int:
    validator = Api(os.environ["SLUICE_DEMO_URL"], os.environ["SLUICE_DEMO_CA_FILE"])
    key_file = demo_key_file()
    if not key_file.exists():
        print("no demo tenant: the registry's demo was not run", flush=True)
        return 0
    version = validator.call(key_file.read_text().strip(), "POST", f"/v1/schemas/{SCHEMA}/versions",
                             {"kind": "metrics_table", "document": TABLE})
    suggest(5, "what was set aside instead of stored, by cause", run=curl(f"{validator.url}/v1/rejection-groups"))
    print(f"schema `{SCHEMA}` {version['version']} judges what the demo's meters send", flush=True)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Refused as refused:
        sys.exit(f"demo: the validator refused: {refused}")
