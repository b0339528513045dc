"""Makes the files of the charts that follow from others: schemas, READMEs' tables, dashboards.

`tests/charts/run --update` writes them; the tests compare. Each function returns {path: text}.
"""

import json
import re
import subprocess
from pathlib import Path

import dashboards
from project import CHARTS, Failure, binary, load_yaml, services

# What services share: the keys of `global`.
SHARED = ("size", "image", "config", "kafka", "postgres", "redis", "oidc", "tls", "ops", "networkPolicy", "monitoring",
          "lifecycle", "rollout", "scheduling", "securityContext", "extraEnv")

TOPICS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "mode": {"enum": ["services", "strimzi"]},
        "strimziCluster": {"$ref": "#/definitions/name"},
        "repartition": {"type": "array", "items": {"type": "string"}},
        "list": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "partitions": {"$ref": "#/definitions/replicas"},
                    "retentionDays": {"type": "integer", "minimum": 1},
                },
            },
        },
    },
}


def all_files() -> dict[Path, str]:
    files = {CHARTS / "sluice/values.schema.json": umbrella_schema(), CHARTS / "kit/README.md": kit_readme()}
    for service in services():
        files[CHARTS / service / "values.schema.json"] = service_schema(service)
        files[CHARTS / service / "README.md"] = service_readme(service)
    for name, dashboard in dashboards.all_dashboards().items():
        files[CHARTS / "sluice/dashboards" / f"{name}.json"] = _text(dashboard)
    return files


def _text(document) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _kit_schema() -> dict:
    return json.loads((CHARTS / "kit/service.schema.json").read_text())


def settings_schema(service: str) -> dict:
    """What the service's own program says its YAML may hold."""
    program = binary(service)
    if not program.exists():
        raise Failure(f"no program {program}: build first, its --print-schema is part of the chart's schema")
    done = subprocess.run([program, "--print-schema"], text=True, capture_output=True)
    if done.returncode:
        raise Failure(f"{program} --print-schema: {done.stderr.strip()}")
    schema = json.loads(done.stdout)
    # What is required may come from other values, so the program itself insists on it.
    return {key: value for key, value in schema.items() if key not in ("$schema", "title", "required")}


def service_schema(service: str) -> str:
    schema = _kit_schema()
    schema["$comment"] = "Made by tests/charts/run --update."
    schema["definitions"]["settings"] = settings_schema(service)
    return _text(schema)


def umbrella_schema() -> str:
    kit = _kit_schema()
    shared = {key: kit["properties"][key] for key in SHARED}
    parts = {part["name"]: {"type": "object"} for part in load_yaml(CHARTS / "sluice/Chart.yaml")["dependencies"]}
    return _text({
        "$schema": kit["$schema"],
        "$comment": "Made by tests/charts/run --update. The values of a service are checked by its own schema.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "global": {"type": "object", "additionalProperties": False, "properties": shared},
            "topics": TOPICS,
            **parts,
        },
        "definitions": kit["definitions"],
    })


def kit_readme() -> str:
    """The README as written, with the table of values after its marker replaced."""
    path = CHARTS / "kit/README.md"
    defaults = (CHARTS / "kit/templates/_defaults.tpl").read_text().split("-}}")[1].split("{{-")[0]
    return _with_table(path, values_table(defaults))


def service_readme(service: str) -> str:
    chart = load_yaml(CHARTS / service / "Chart.yaml")
    sizes = load_yaml(CHARTS / service / "values.yaml")["sizes"]
    values = load_yaml(CHARTS / service / "values.yaml")
    rows = []
    for size, value in sizes.items():
        requests, limits = value["resources"]["requests"], value["resources"]["limits"]
        settings = ", ".join(f"`{setting}: {chosen}`" for setting, chosen in value.get("config", {}).items())
        rows.append(f"| {size} | {value['replicas']} | {requests['cpu']} / {limits['cpu']} "
                    f"| {requests['memory']} / {limits['memory']} | {settings} |")
    said = [f"- `{key}`: {', '.join(f'`{item}`' for item in values[key])}"
            for key in ("listens", "uses", "calls") if values.get(key)]
    return "\n".join([
        f"# charts/{service}", "", f"{chart['description']}.", "",
        f"The chart of [services/{service}](../../services/{service}/README.md), made of [kit](../kit/README.md), where every "
        "value is explained. `config` takes the service's settings. This page is made by `tests/charts/run --update`.", "",
        *said, "",
        "| size | replicas | CPU, request / limit | memory, request / limit | settings |", "|---|---|---|---|---|", *rows, ""])


def values_table(text: str) -> str:
    """A Markdown table of `key: value  # meaning` lines."""
    rows, path = [], []
    for line in text.splitlines():
        found = re.fullmatch(r"( *)([A-Za-z]+):(?: (.+?))?(?:  # (.*))?", line)
        if not found:
            continue
        depth = len(found[1]) // 2
        path[depth:] = [found[2]]
        if found[4]:
            rows.append(f"| `{'.'.join(path)}` | `{found[3]}` | {found[4]} |")
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def _with_table(path: Path, table: str) -> str:
    marker = "<!-- made by tests/charts/run --update -->\n"
    head, found, _ = path.read_text().partition(marker)
    if not found:
        raise Failure(f"{path} has no line {marker.strip()}")
    return f"{head}{marker}\n{table}\n"
