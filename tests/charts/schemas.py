"""JSON schemas of Kubernetes' own objects for kubeconform, made from the API description of a pinned release.

The description is in Kubernetes' Go module, whose hash Go checks against its public log and we against ours.
"""

import json
import os
import subprocess
import tempfile
import zipfile
from pathlib import Path

from project import Failure

VERSION = "v1.34.4"
HASH = "h1:Yy6R4QB8C9kJPp25GFqEvX5XQwY5qzKeqD0Xx6oAcmk="
DESCRIPTION = f"k8s.io/kubernetes@{VERSION}/api/openapi-spec/swagger.json"
PREFIX = "#/definitions/"


def folder() -> Path:
    """A folder with one strict schema a kind; made once."""
    cache = Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache/sluice")
    target = cache / f"kubernetes-schemas-{VERSION}"
    if not target.exists():
        new = Path(tempfile.mkdtemp(prefix="kubernetes-schemas-", dir=cache))
        _write(_download(), new)
        new.rename(target)
    return target


def _download() -> dict:
    with tempfile.TemporaryDirectory() as gopath:
        environment = {**os.environ, "GOPATH": gopath, "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
        command = ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{VERSION}"]
        done = subprocess.run(command, env=environment, cwd=gopath, text=True, capture_output=True)
        if done.returncode:
            raise Failure(f"{' '.join(command)}: {done.stderr.strip()}{done.stdout.strip()}")
        module = json.loads(done.stdout)
        if module["Sum"] != HASH:
            raise Failure(f"k8s.io/kubernetes {VERSION} has hash {module['Sum']}, expected {HASH}")
        with zipfile.ZipFile(module["Zip"]) as archive:
            return json.loads(archive.read(DESCRIPTION))


def _write(description: dict, target: Path) -> None:
    definitions = {name: _strict(schema) for name, schema in description["definitions"].items()}
    for name, schema in definitions.items():
        for kind in schema.pop("x-kubernetes-group-version-kind", []):
            group = kind["group"].split(".")[0]
            stem = "-".join(filter(None, (kind["kind"].lower(), group, kind["version"])))
            needed = {}
            _collect(schema, definitions, needed)
            (target / f"{stem}.json").write_text(json.dumps({**schema, "definitions": needed}))


def _strict(schema):
    """Unknown fields are refused; quantities and ports may be written as numbers."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items() if key not in ("description", "format")}
    if schema.get("format") == "int-or-string":
        strict["type"] = ["string", "integer"]
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        strict["additionalProperties"] = False
    if "api.resource.Quantity" in str(schema.get("$ref")):
        return {"type": ["string", "number"]}
    return strict


def _collect(schema, definitions: dict, needed: dict) -> None:
    if isinstance(schema, list):
        for item in schema:
            _collect(item, definitions, needed)
    elif isinstance(schema, dict):
        reference = schema.get("$ref")  # a text, unless it is the description of a field of this name
        name = reference.removeprefix(PREFIX) if isinstance(reference, str) else None
        if name and name not in needed:
            needed[name] = definitions[name]
            _collect(definitions[name], definitions, needed)
        for value in schema.values():
            _collect(value, definitions, needed)
