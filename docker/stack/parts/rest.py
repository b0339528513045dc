"""A client of our services' REST APIs, for demos and benchmarks."""

import json
import ssl
import time
import urllib.error
import urllib.request

TIMEOUT_S = 60  # of a request; uploads of thousands of lines among them
IMPORT_DEADLINE_S = 60


class Refused(Exception):
    def __init__(self, status: int, body: str):
        super().__init__(f"{status}: {body}")
        self.status = status


class Api:
    def __init__(self, url: str, ca_file):
        self.url = url
        self._context = ssl.create_default_context(cafile=str(ca_file)) if url.startswith("https:") else None

    def send(self, key: str, method: str, path: str, body=None, *, content_type: str = "application/json") -> bytes:
        """The answer's body. Bytes are sent as they are, what else is a body as JSON; waits where too much was asked."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers={"Authorization": f"Bearer {key}"})
        if data is not None:
            request.add_header("Content-Type", content_type)
        while True:
            try:
                with urllib.request.urlopen(request, context=self._context, timeout=TIMEOUT_S) as answer:
                    return answer.read()
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                if error.code != 429:
                    raise Refused(error.code, text) from None
                time.sleep(int(error.headers.get("Retry-After") or 1))

    def call(self, key: str, method: str, path: str, body=None, *, content_type: str = "application/json") -> dict:
        return json.loads(self.send(key, method, path, body, content_type=content_type) or b"null")

    def make(self, key: str, path: str, body: dict) -> dict | None:
        """What was made; None where it was there already."""
        try:
            return self.call(key, "POST", path, body)
        except Refused as refused:
            if refused.status != 409:
                raise
            return None

    def import_devices(self, key: str, devices: list[dict], parameters: str = "") -> dict:
        """Registers them in bulk; gives the operation as it succeeded."""
        lines = "".join(json.dumps(device) + "\n" for device in devices).encode()
        operation = self.call(key, "POST", f"/v1/devices:import{parameters}", lines, content_type="application/x-ndjson")
        deadline = time.monotonic() + IMPORT_DEADLINE_S
        while operation["state"] == "running":
            if time.monotonic() > deadline:
                raise SystemExit(f"the import is still running after {IMPORT_DEADLINE_S} s")
            time.sleep(0.1)
            operation = self.call(key, "GET", f"/v1/operations/{operation['operation_id']}")
        if operation["state"] != "succeeded":
            raise SystemExit(f"the import failed: {json.dumps(operation)}")
        return operation
