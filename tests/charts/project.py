"""Where things are, and how the charts' tests call helm."""

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
CHARTS = SOURCE / "charts"
PRESETS = ("dev", "small", "prod")
# A chart does not choose its cluster; the renderings that are compared need one and the same.
CLUSTER = ("--kube-version", "1.34.0", "--namespace", "sluice")


def services() -> list[str]:
    """Every chart but the library and the umbrella is a service's."""
    folders = (chart.parent.name for chart in CHARTS.glob("*/Chart.yaml"))
    return sorted(set(folders) - {"kit", "sluice"})


def load_yaml(path: Path):
    return yaml.load(path.read_text(), Loader=yaml.CSafeLoader)


def binary(service: str) -> Path:
    """The service's program: of SLUICE_BIN_DIR, or of the build that `make` makes."""
    folder = Path(os.environ.get("SLUICE_BIN_DIR") or SOURCE / "build/dev/bin")
    return folder / service


@cache
def tool(name: str) -> str:
    """A pinned program: of the environment (HELM=…), or made by docker/tools."""
    given = os.environ.get(name.upper())
    if given:
        return given
    command = [SOURCE / "docker/tools/tool", "--path", name]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Failure(Exception):
    """A program refused; the text is what it said."""


def run(*command, cwd: Path | None = None) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, text=True, capture_output=True)
    if done.returncode:
        raise Failure((done.stderr + done.stdout).strip())
    return done.stdout


class Stage:
    """A copy of the charts with their dependencies in place, so that a test leaves nothing in the source tree."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="sluice-charts-")
        self.charts = Path(self._folder.name) / "charts"
        ignored = shutil.ignore_patterns("charts", "Chart.lock")
        self.charts.mkdir()
        for chart in [*CHARTS.glob("*/Chart.yaml"), *HERE.glob("fixtures/*/Chart.yaml")]:
            shutil.copytree(chart.parent, self.charts / chart.parent.name, ignore=ignored)

    def update(self, chart: str) -> None:
        run(tool("helm"), "dependency", "update", self.charts / chart)

    def preset(self, name: str) -> Path:
        return self.charts / "sluice" / f"values-{name}.yaml"

    def of_service(self, preset: str, service: str) -> Path:
        """The preset's values as a service's chart takes them when it is installed by itself."""
        path = self.charts / f"{service}-{preset}.yaml"
        values = load_yaml(self.preset(preset))
        path.write_text(yaml.safe_dump({"global": values["global"], **values.get(service, {})}))
        return path

    def render(self, chart: str, *values: Path, sets: tuple[str, ...] = ()) -> list[dict]:
        """The objects of `helm template`; `sets` are as in --set-json."""
        command = [tool("helm"), "template", "sluice", self.charts / chart, *CLUSTER]
        for path in values:
            command += ["--values", path]
        for text in sets:
            command += ["--set-json", text]
        objects = yaml.load_all(run(*command), Loader=yaml.CSafeLoader)
        return sorted(filter(None, objects), key=lambda o: (o["kind"], o["metadata"]["name"]))

    def lint(self, chart: str, values: Path) -> None:
        run(tool("helm"), "lint", self.charts / chart, "--strict", "--quiet", "--values", values,
            "--kube-version", "1.34.0")


