"""Devices that publish a value and look for it in the answers of the query API: how long a message takes to be of use."""

import http.client
import json
import random
import ssl
import subprocess
import threading
import time

POLL_S = 0.005  # the grain of what is measured
LOST_AFTER_S = 30


class QueryApi:
    """One connection, made anew when the server has had enough of it."""

    def __init__(self, address: str, ca_file, key: str):
        self._address, self._headers = address, {"Authorization": f"Bearer {key}"}
        self._tls = ssl.create_default_context(cafile=str(ca_file))
        self._connection = None

    def get(self, path: str) -> tuple[int, bytes]:
        for attempt in range(2):
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(self._address, context=self._tls, timeout=LOST_AFTER_S)
            try:
                self._connection.request("GET", path, headers=self._headers)
                answer = self._connection.getresponse()
                body = answer.read()
                if answer.getheader("Connection", "").lower() == "close":
                    self._connection = None
                return answer.status, body
            except (http.client.HTTPException, OSError):
                self._connection = None
                if attempt:
                    raise


class Probe(threading.Thread):
    """One device: publishes over one connection of mosquitto_pub, one value after the other, and times each."""

    def __init__(self, publish: list[str], device: str, api: QueryApi, until: float):
        super().__init__()
        self.seconds: list[float] = []
        self.lost = 0
        self._publish, self._device, self._api, self._until = publish, device, api, until

    def run(self) -> None:
        # A line of its input is a message.
        publisher = subprocess.Popen([*self._publish, "-l"], text=True, stdin=subprocess.PIPE)
        value = random.randrange(10**6)
        try:
            while time.monotonic() < self._until:
                value += 1
                began = time.monotonic()
                publisher.stdin.write(json.dumps({"metrics": {"temperature": value}}) + "\n")
                publisher.stdin.flush()
                if self._is_seen(value, began):
                    self.seconds.append(time.monotonic() - began)
                else:
                    self.lost += 1
                time.sleep(random.uniform(0.05, 0.25))  # in no step with anything that flushes by the clock
        finally:
            publisher.stdin.close()
            publisher.wait()

    def _is_seen(self, value: int, began: float) -> bool:
        while time.monotonic() - began < LOST_AFTER_S:
            status, body = self._api.get(f"/v1/devices/{self._device}/latest")
            if status == 200 and any(one["metric"] == "temperature" and one["value"] == value for one in json.loads(body)["values"]):
                return True
            if status not in (200, 404):
                raise RuntimeError(f"the query API answers {status}: {body[:300]!r}")
            time.sleep(POLL_S)
        return False


def quantile(values: list[float], share: float) -> float:
    """The nearest rank: a value that was measured."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
