#!/usr/bin/env python3
"""A service as the runner sees one: it has settings, an ops port, an address file, and drains when told to.

FAKE_SETTINGS_<NAME> lists its settings; FAKE_JOURNAL is where it notes what happens; FAKE_CRASH names who crashes.
"""

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

NAME = Path(sys.argv[0]).name
SETTINGS = os.environ["FAKE_SETTINGS_" + NAME.upper()].split()


def note(event: str) -> None:
    with open(os.environ["FAKE_JOURNAL"], "a") as journal:
        journal.write(f"{NAME} {event}\n")


class Ops(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"fake_up 1\n")
        if self.path == "/metrics":
            note("scraped with " + self.headers.get("Authorization", "nothing"))

    def log_message(self, *arguments):
        pass


def main() -> None:
    if sys.argv[1:] == ["--print-settings"]:
        print(json.dumps([{"name": name, "type": "text"} for name in SETTINGS]))
        return
    given = {name: value for name, value in os.environ.items() if name.startswith("SLUICE_")}
    note("given " + json.dumps(given))
    if os.environ.get("FAKE_CRASH") == NAME:
        print("the fake's last words", flush=True)
        os.abort()

    def drain(number, frame):
        note("drained")
        sys.exit(0)

    signal.signal(signal.SIGTERM, drain)
    server = HTTPServer(("127.0.0.1", 0), Ops)
    address = Path(given["SLUICE_ADDRESS_FILE"])
    new = address.with_suffix(".new")
    port = server.server_port
    new.write_text(json.dumps({"ops": f"127.0.0.1:{port}", "http": f"127.0.0.1:{port}", "grpc": f"127.0.0.1:{port}"}))
    new.rename(address)
    note("ready")
    server.serve_forever()


main()
