"""What the demos of services share: lines for people to try, and where the demo tenant's key is."""

import json
import os
import shlex
from pathlib import Path

from .process import write_secret


def suggest(place: int, what: str, *, run: str = "", look: str = "") -> None:
    """Leaves something to try (`run`, a line for a shell) or to look at (`look`, an address), which `make run` prints at its end, by `place`."""
    entry = {"place": place, "what": what, "run": run, "look": look}
    if file := os.environ.get("SLUICE_DEMO_TRY_FILE"):
        with open(file, "a") as lines:
            lines.write(json.dumps(entry) + "\n")
    else:
        print(f"# {what}\n{run or look}", flush=True)


def demo_key_file() -> Path:
    """Where the registry's demo leaves the demo tenant's key for the others."""
    return Path(os.environ.get("SLUICE_DEMO_OUT") or Path(os.environ["SLUICE_DEMO_KEY_FILE"]).parent) / "demo-key"


def curl(*words: str) -> str:
    """A line for a shell that asks one of our services as the demo tenant. Authority and key are in a file, so that neither the line nor the list
    of processes holds the key."""
    options = demo_key_file().with_name("demo-curl")
    write_secret(options, "".join(f"{line}\n" for line in (
        "silent", "show-error", r'write-out = "\n"', f'cacert = "{os.environ["SLUICE_DEMO_CA_FILE"]}"',
        f'header = "Authorization: Bearer {demo_key_file().read_text().strip()}"')).encode())
    return shlex.join(["curl", "-K", str(options), *words])
