"""Prometheus, scraping what a file lists, so that services come and go without a restart."""

import json
from pathlib import Path

from .cache import Cache
from .process import LOOPBACK, Process, free_port, http_ok, secret

SCRAPE_INTERVAL = "2s"  # what looks live to somebody who looks

CONFIG = """\
global:
  scrape_interval: {interval}
  scrape_timeout: {interval}
scrape_configs:
  - job_name: sluice
    authorization:
      credentials_file: {token}
    file_sd_configs:
      - files: [{targets}]
        refresh_interval: 2s
"""


class Prometheus:
    name = "prometheus"

    def __init__(self, data: Path, cache: Cache):
        self._data, self._logs = data / "prometheus", data / "log"
        self._token_file = secret(data / "secrets" / "ops-token")
        self.processes: list[Process] = []
        self._port = 0

    @property
    def token_file(self) -> Path:
        """The bearer token it shows at the services' ops ports."""
        return self._token_file

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._port}"

    def scrape(self, targets: dict[str, str]) -> None:
        """Scrapes `service name -> host:port` from now on."""
        groups = [{"targets": [address], "labels": {"service": service}} for service, address in sorted(targets.items())]
        new = self._data / "targets.new"
        new.write_text(json.dumps(groups))
        new.rename(self._data / "targets.json")

    async def start(self) -> str:
        self._data.mkdir(parents=True, exist_ok=True)
        self._port = free_port()
        self.scrape({})
        config = self._data / "prometheus.yml"
        config.write_text(CONFIG.format(interval=SCRAPE_INTERVAL, targets=json.dumps(str(self._data / "targets.json")), token=json.dumps(str(self._token_file))))
        process = Process("prometheus", ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={self._data}/tsdb",
                                         "--storage.tsdb.retention.time=1d", f"--web.listen-address={LOOPBACK}:{self._port}"],
                          log=self._logs / "prometheus.log")
        self.processes.append(process)
        await process.start()
        await process.until(lambda: http_ok(self._port, "/-/ready"))
        return f"{LOOPBACK}:{self._port}"

    async def stop(self, *, at_once: bool) -> None:
        for process in self.processes:
            await process.stop(at_once=at_once)

    def environment(self) -> dict:
        return {"PROMETHEUS_URL": self.url}
