"""What must hold of everything the charts render, whatever the values. Each rule yields its complaints."""

from collections.abc import Iterator

TEMPLATED = {"Deployment", "StatefulSet", "DaemonSet", "Job"}


def complaints(objects: list[dict]) -> list[str]:
    found = []
    for workload in filter(lambda o: o["kind"] in TEMPLATED, objects):
        name = f"{workload['kind']}/{workload['metadata']['name']}"
        pod = workload["spec"]["template"]
        for rule in (_restricted, _resources, _probes, _volumes):
            found += [f"{name}: {text}" for text in rule(pod["spec"])]
        found += [f"{name}: {text}" for text in _selected(workload, objects)]
    for rule in (_services, _no_secrets):
        found += rule(objects)
    return found


def _containers(pod: dict) -> list[dict]:
    return pod.get("initContainers", []) + pod["containers"]


def _restricted(pod: dict) -> Iterator[str]:
    """Pod Security "restricted", and a read-only root and no service account token besides."""
    for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
        if pod.get(key):
            yield f"{key} is set"
    if pod.get("automountServiceAccountToken") is not False:
        yield "a service account token is mounted"
    if pod.get("enableServiceLinks") is not False:
        yield "service links put every Service's address into the environment"
    context = pod.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 0) < 1 or context.get("runAsGroup", 0) < 1:
        yield "it may run as root"
    if context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the seccomp profile is not RuntimeDefault"
    for container in _containers(pod):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield "privilege escalation is allowed"
        if own.get("readOnlyRootFilesystem") is not True:
            yield "the root file system can be written"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield "capabilities are kept"
        if own.get("privileged") or own.get("runAsUser") == 0 or own.get("runAsNonRoot") is False:
            yield "the container overrides the pod's restrictions"
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield "a host port is used"
        if ":" not in container["image"].rsplit("/", 1)[-1] or container["image"].endswith(":latest"):
            yield f"image {container['image']} is not pinned"


def _resources(pod: dict) -> Iterator[str]:
    for container in _containers(pod):
        for kind in ("requests", "limits"):
            missing = {"cpu", "memory"} - set(container.get("resources", {}).get(kind, {}))
            if missing:
                yield f"no {kind} of {', '.join(sorted(missing))}"


def _probes(pod: dict) -> Iterator[str]:
    if pod.get("restartPolicy", "Always") != "Always":
        return
    for container in pod["containers"]:
        for probe, path in (("startupProbe", "/startupz"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
            if container.get(probe, {}).get("httpGet") != {"path": path, "port": "ops"}:
                yield f"{probe} does not ask {path} on the ops port"


def _volumes(pod: dict) -> Iterator[str]:
    for volume in pod.get("volumes", []):
        if "hostPath" in volume:
            yield f"volume {volume['name']} is a path of the host"
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            yield f"volume {volume['name']} has no size limit"


def _matches(selector: dict, labels: dict) -> bool:
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())


def _selected(workload: dict, objects: list[dict]) -> Iterator[str]:
    """Its own selector finds the pods, and so do a network policy both ways and a disruption budget."""
    labels = workload["spec"]["template"]["metadata"]["labels"]
    selector = workload["spec"].get("selector")
    if selector is not None and not _matches(selector, labels):
        yield "its selector does not match its pods"
    policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]
    policies = [spec for spec in policies if _matches(spec["podSelector"], labels)]
    if not any(set(spec["policyTypes"]) == {"Ingress", "Egress"} for spec in policies):
        yield "no network policy covers its pods both ways"
    for spec in policies:
        if any(rule == {} for rule in spec.get("ingress", []) + spec.get("egress", [])):
            yield "a network policy lets everything through"
        if any(rule.get("from", True) == [] for rule in spec.get("ingress", [])):
            yield "a network policy has an empty list of peers, which means everybody"
    if workload["kind"] in ("Deployment", "StatefulSet"):
        budgets = [o["spec"] for o in objects if o["kind"] == "PodDisruptionBudget"]
        if not any(_matches(spec["selector"], labels) for spec in budgets):
            yield "no disruption budget covers its pods"


def _services(objects: list[dict]) -> Iterator[str]:
    pods = [o["spec"]["template"] for o in objects if o["kind"] in TEMPLATED]
    for service in filter(lambda o: o["kind"] == "Service", objects):
        selector = {"matchLabels": service["spec"]["selector"]}
        found = [pod for pod in pods if _matches(selector, pod["metadata"]["labels"])]
        if len(found) != 1:
            yield f"Service/{service['metadata']['name']}: selects {len(found)} workloads"
        for pod in found:
            ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
            wanted = {port["targetPort"] for port in service["spec"]["ports"]}
            if not wanted <= ports:
                yield f"Service/{service['metadata']['name']}: no container port {', '.join(wanted - ports)}"
            if "ops" in wanted:
                yield f"Service/{service['metadata']['name']}: the ops port is published"


def _no_secrets(objects: list[dict]) -> Iterator[str]:
    for item in objects:
        if item["kind"] == "Secret":
            yield f"Secret/{item['metadata']['name']}: a secret went through values"
