"""What the charts promise: see charts/README.md."""

import copy
import json
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

import generate
import rules
import schemas
from project import CHARTS, HERE, PRESETS, SOURCE, Failure, Stage, binary, load_yaml, run, services, tool

GOLDEN = HERE / "golden"
# Kinds of operators that may or may not be in the cluster; their fields are not in Kubernetes' own description.
FOREIGN = "Certificate,PodMonitor,PrometheusRule,KafkaTopic,ScaledObject,TriggerAuthentication"
REDIS = '{"url": "rediss://redis:6379", "secret": "sluice-redis", "caSecret": "sluice-redis"}'
_stages: dict[str, Stage] = {}


def stage() -> Stage:
    """The charts as they are, dependencies in place; shared, since no test changes it."""
    if "plain" not in _stages:
        made = Stage()
        for chart in ["sluice", *services(), "second"]:
            made.update(chart)
        _stages["plain"] = made
    return _stages["plain"]


def stage_with_second() -> Stage:
    """The same with a second service, which costs the umbrella one line."""
    if "second" not in _stages:
        made = Stage()
        with (made.charts / "sluice/Chart.yaml").open("a") as chart:
            chart.write("  - {name: second, version: 0.1.0, repository: file://../second, condition: second.enabled}\n")
        schema = made.charts / "sluice/values.schema.json"
        document = json.loads(schema.read_text())
        document["properties"]["second"] = {"type": "object"}
        schema.write_text(json.dumps(document))
        made.update("sluice")
        _stages["second"] = made
    return _stages["second"]


def golden_text(objects: list[dict]) -> str:
    return yaml.safe_dump_all(objects, sort_keys=True, width=120)


def update() -> None:
    for path, text in generate.all_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for preset in PRESETS:
        (GOLDEN / f"{preset}.yaml").write_text(golden_text(stage().render("sluice", stage().preset(preset))))


def of_kind(objects: list[dict], kind: str, name: str = "device-registry") -> dict:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


class Rendering(unittest.TestCase):
    maxDiff = 4000

    def test_each_preset_renders_as_reviewed(self):
        for preset in PRESETS:
            with self.subTest(preset):
                rendered = golden_text(stage().render("sluice", stage().preset(preset)))
                self.assertMultiLineEqual((GOLDEN / f"{preset}.yaml").read_text(), rendered,
                                          "read the difference, then: tests/charts/run --update")

    def test_each_preset_keeps_the_rules(self):
        for preset in PRESETS:
            with self.subTest(preset):
                self.assertEqual([], rules.complaints(stage().render("sluice", stage().preset(preset))))

    def test_a_service_alone_renders_as_within_the_umbrella(self):
        for preset in PRESETS:
            for service in services():
                with self.subTest(f"{service} {preset}"):
                    within = [o for o in stage().render("sluice", stage().preset(preset))
                              if o["metadata"]["labels"]["app.kubernetes.io/name"] == service]
                    alone = stage().render(service, stage().of_service(preset, service))
                    self.assertEqual(within, alone)

    def test_a_second_service_is_three_short_files_and_one_line(self):
        files = list((HERE / "fixtures/second").rglob("*.yaml"))
        self.assertEqual(3, len(files))
        self.assertLessEqual(sum(len(file.read_text().splitlines()) for file in files), 40)
        objects = stage_with_second().render("sluice", stage_with_second().preset("prod"),
                                             sets=(f"global.redis={REDIS}",))
        self.assertEqual([], rules.complaints(objects))
        deployment = of_kind(objects, "Deployment", "second")
        self.assertEqual("true", deployment["spec"]["template"]["metadata"]["labels"]["sluice/calls-device-registry"])
        settings = yaml.safe_load(of_kind(objects, "ConfigMap", "second")["data"]["config.yaml"])
        self.assertEqual("device-registry:9443", settings["device_registry_address"])

    def test_helm_lint_is_content(self):
        stage().lint("sluice", stage().preset("prod"))
        for service in services():
            stage().lint(service, stage().of_service("prod", service))

    def test_kubernetes_would_take_every_object(self):
        with tempfile.TemporaryDirectory() as folder:
            for preset in PRESETS:
                path = Path(folder) / f"{preset}.yaml"
                path.write_text(golden_text(stage().render("sluice", stage().preset(preset))))
            location = f"{schemas.folder()}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
            run(tool("kubeconform"), "-strict", "-skip", FOREIGN, "-schema-location", location, "-summary", folder)

    def test_kubernetes_schemas_refuse_an_unknown_field(self):
        objects = stage().render("sluice", stage().preset("dev"))
        of_kind(objects, "Deployment")["spec"]["template"]["spec"]["restartPolcy"] = "Always"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "planted.yaml"
            path.write_text(golden_text(objects))
            location = f"{schemas.folder()}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
            with self.assertRaises(Failure) as refused:
                run(tool("kubeconform"), "-strict", "-skip", FOREIGN, "-schema-location", location, path)
            self.assertIn("restartPolcy", str(refused.exception))

    def test_a_change_of_settings_rolls_the_pods(self):
        def checksum(*sets):
            objects = stage().render("sluice", stage().preset("prod"), sets=sets)
            return of_kind(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        self.assertNotEqual(checksum(), checksum('device-registry.config={"log_level": "debug"}'))

    def test_options_render_the_objects_they_name(self):
        for option, kind in (('{"mode": "cpu"}', "HorizontalPodAutoscaler"),
                             ('{"mode": "kafka-lag", "topic": "device.events"}', "ScaledObject")):
            objects = stage().render("sluice", stage().preset("prod"), sets=(f"device-registry.autoscaling={option}",))
            self.assertEqual([], rules.complaints(objects))
            of_kind(objects, kind)
            self.assertNotIn("replicas", of_kind(objects, "Deployment")["spec"], "two controllers would fight over it")


    def test_devices_have_a_service_of_their_own(self):
        objects = stage().render("sluice", stage().preset("prod"), sets=(
            'mqtt-front.devices={"listens": ["mqtts", "wss", "psk"], "proxyProtocol": true, "service": {"sourceRanges": ["192.0.2.0/24"]}}',
            'global.networkPolicy.devices=[{"ipBlock": {"cidr": "192.0.2.0/24"}}]'))
        self.assertEqual([], rules.complaints(objects))
        outside = of_kind(objects, "Service", "mqtt-front-devices")["spec"]
        self.assertEqual({"mqtts": 8883, "wss": 8884, "psk": 8885}, {port["name"]: port["port"] for port in outside["ports"]})
        self.assertEqual(("LoadBalancer", "Local", ["192.0.2.0/24"]),
                         (outside["type"], outside["externalTrafficPolicy"], outside["loadBalancerSourceRanges"]))
        inside = of_kind(objects, "Service", "mqtt-front")["spec"]
        self.assertEqual(["grpc"], [port["name"] for port in inside["ports"]], "the world is not offered gRPC")
        settings = yaml.safe_load(of_kind(objects, "ConfigMap", "mqtt-front")["data"]["config.yaml"])
        self.assertEqual(("0.0.0.0:8883", "0.0.0.0:8884", "0.0.0.0:8885", True),
                         tuple(settings[key] for key in ("mqtts_listen", "wss_listen", "mqtt_psk_listen", "mqtt_proxy_protocol")))
        policy = of_kind(objects, "NetworkPolicy", "mqtt-front")["spec"]
        doors = [rule for rule in policy["ingress"] if {"port": "mqtts", "protocol": "TCP"} in rule["ports"]]
        self.assertEqual([[{"ipBlock": {"cidr": "192.0.2.0/24"}}]], [rule["from"] for rule in doors])

    def test_pods_of_one_service_reach_each_other(self):
        objects = stage().render("sluice", stage().preset("prod"))
        policy = of_kind(objects, "NetworkPolicy", "mqtt-front")["spec"]
        own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mqtt-front"}}}
        self.assertIn([own], [rule.get("to") for rule in policy["egress"]])
        pod = of_kind(objects, "Deployment", "mqtt-front")["spec"]["template"]
        caller = {"sluice/calls-mqtt-front": "true"}
        self.assertLessEqual(caller.items(), pod["metadata"]["labels"].items())
        self.assertIn([{"podSelector": {"matchLabels": caller}}], [rule.get("from") for rule in policy["ingress"]])
        settings = yaml.safe_load(of_kind(objects, "ConfigMap", "mqtt-front")["data"]["config.yaml"])
        self.assertNotIn("mqtt_front_address", settings)
        env = {item["name"]: item for item in pod["spec"]["containers"][0]["env"]}
        self.assertEqual("$(POD_IP):9443", env["SLUICE_GRPC_ADVERTISE"]["value"])
        self.assertLess(list(env).index("POD_IP"), list(env).index("SLUICE_GRPC_ADVERTISE"), "only earlier ones are filled in")

    def test_threads_follow_the_limit_of_cpu(self):
        pod = of_kind(stage().render("sluice", stage().preset("prod")), "Deployment", "mqtt-front")["spec"]["template"]["spec"]
        loops = [item for item in pod["containers"][0]["env"] if item["name"] == "SLUICE_LOOPS"]
        self.assertEqual([{"resourceFieldRef": {"resource": "limits.cpu"}}], [item["valueFrom"] for item in loops])

    def test_the_grace_outlasts_the_drain(self):
        for preset in PRESETS:
            objects = stage().render("sluice", stage().preset(preset))
            for service in services():
                settings = yaml.safe_load(of_kind(objects, "ConfigMap", service)["data"]["config.yaml"])
                needed = sum(int(settings[key].removesuffix("s")) for key in ("drain_delay", "shutdown_grace"))
                pod = of_kind(objects, "Deployment", service)["spec"]["template"]["spec"]
                self.assertGreater(pod["terminationGracePeriodSeconds"], needed)


class Values(unittest.TestCase):
    def settings(self, *sets: str) -> dict:
        objects = stage().render("sluice", stage().preset("prod"), sets=sets)
        return yaml.safe_load(of_kind(objects, "ConfigMap")["data"]["config.yaml"])

    def test_own_values_beat_shared_ones_and_false_and_zero_count(self):
        settings = self.settings('global.lifecycle={"endpointSeconds": 9}',
                                 'device-registry.lifecycle={"endpointSeconds": 0}')
        self.assertEqual("0s", settings["drain_delay"])
        objects = stage().render("sluice", stage().preset("prod"), sets=('device-registry.pdb={"enabled": false}',))
        self.assertNotIn(("PodDisruptionBudget", "device-registry"),
                         [(o["kind"], o["metadata"]["name"]) for o in objects])

    def test_shared_settings_reach_every_service_and_null_removes(self):
        self.assertEqual("warn", self.settings('global.config={"log_level": "warn"}')["log_level"])
        self.assertIn("import_spool_dir", self.settings())
        self.assertNotIn("import_spool_dir", self.settings('device-registry.config={"import_spool_dir": null}'))

    def test_wrong_values_are_refused_by_name(self):
        for values, expected in (
            ('device-registry.replica=2', "replica"),
            ('device-registry.replicas=0', "replicas"),
            ('device-registry.config={"log_levle": "info"}', "log_levle"),
            ('device-registry.listens=["mqtt"]', "listens"),
            ('mqtt-front.devices={"listens": ["mqtt"]}', "devices"),
            ('mqtt-front.devices={"service": {"sourceRanges": ["anywhere"]}}', "sourceRanges"),
            ('mqtt-front.fromPod={"LOOPS": "limits.cpu"}', "LOOPS"),
            ('mqtt-front.fromPod={"loops": "4"}', "fromPod"),
            ('mqtt-front.config={"mqtt_listn": "127.0.0.1:1883"}', "mqtt_listn"),
            ('global.kafka={"broker": "x:1"}', "broker"),
            ('global.postgres={"url": "postgresql://u:secret@h/d"}', "url"),
            ('device-registry.securityContext={"runAsUser": 0}', "runAsUser"),
            ('device-registry.extraEnv=[{"name": "DB_PASSWORD", "value": "x"}]', "extraEnv"),
            ('device-registry.image={"digest": "latest"}', "digest"),
            ('topics={"mode": "magic"}', "mode"),
            ('device-registry.extraManifests=[{"apiVersion": "v1", "kind": "Secret"}]', "extraManifests"),
            ('unknown={}', "unknown"),
        ):
            with self.subTest(values):
                with self.assertRaises(Failure) as refused:
                    stage().render("sluice", stage().preset("prod"), sets=(values,))
                self.assertIn(expected, str(refused.exception))

    def test_a_store_without_an_address_is_refused_by_name(self):
        with self.assertRaises(Failure) as refused:
            stage().render("sluice", stage().preset("prod"), sets=('global.kafka={"brokers": ""}',))
        self.assertIn("set global.kafka.brokers", str(refused.exception))

    def test_generated_files_are_up_to_date(self):
        for path, text in generate.all_files().items():
            with self.subTest(path.relative_to(SOURCE)):
                self.assertTrue(path.exists(), "tests/charts/run --update")
                self.assertMultiLineEqual(text, path.read_text(), "tests/charts/run --update")


class Programs(unittest.TestCase):
    """The rendered settings are put before the programs that will read them."""

    def test_each_service_accepts_its_rendered_settings(self):
        for preset in PRESETS:
            objects = stage().render("sluice", stage().preset(preset))
            for service in services():
                with self.subTest(f"{service} {preset}"):
                    self.check(service, of_kind(objects, "ConfigMap", service)["data"]["config.yaml"],
                               self.variables(of_kind(objects, "Deployment", service)))

    def variables(self, deployment: dict) -> dict[str, str]:
        """What the container gets, with a count or an address for what the cluster fills in."""
        env = deployment["spec"]["template"]["spec"]["containers"][0].get("env", [])
        return {item["name"]: item.get("value", "2").replace("$(POD_IP)", "10.0.0.1") for item in env}

    def check(self, service: str, text: str, variables: dict[str, str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            text = text.replace("/etc/sluice", folder)
            for path in re.findall(rf"{folder}/secrets/[\w/.-]+", text):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).write_text("0123456789abcdef0123456789abcdef")
            config = Path(folder) / "config.yaml"
            config.write_text(text)
            done = subprocess.run([binary(service), "--config", config, "--check-config"], text=True,
                                  capture_output=True, env={"PATH": os.environ["PATH"], **variables})
            self.assertEqual(0, done.returncode, f"{done.stderr}\n{text}")


class Observability(unittest.TestCase):
    ALERTS = CHARTS / "sluice/alerts"

    def alerts(self) -> list[dict]:
        return [alert for path in sorted(self.ALERTS.glob("*.yaml"))
                for group in load_yaml(path)["groups"] for alert in group["rules"]]

    def test_prometheus_takes_the_rules(self):
        run("promtool", "check", "rules", *sorted(self.ALERTS.glob("*.yaml")))

    def test_each_alert_has_its_page_in_the_runbook(self):
        headings = set(re.findall(r"^## (\w+)$", (self.ALERTS / "runbook.md").read_text(), re.MULTILINE))
        self.assertEqual({alert["alert"] for alert in self.alerts()}, headings)
        for alert in self.alerts():
            self.assertTrue(alert["annotations"]["runbook_url"].endswith(f"runbook.md#{alert['alert'].lower()}"))

    def test_alerts_and_dashboards_ask_for_metrics_that_exist(self):
        code = "\n".join(path.read_text() for folder in ("libs", "services") for path in (SOURCE / folder).rglob("*.cpp")
                         if not path.name.endswith("_test.cpp"))
        code += "\n".join(path.read_text() for path in (SOURCE / "libs").rglob("*.h"))
        known = set(re.findall(r'"(sluice_[a-z0-9_]+|process_[a-z0-9_]+)"', code))
        queries = [alert["expr"] for alert in self.alerts()]
        queries += [target["expr"] for path in (CHARTS / "sluice/dashboards").glob("*.json")
                    for panel in json.loads(path.read_text())["panels"] for target in panel.get("targets", [])]
        self.assertTrue(queries)
        for query in queries:
            for name in re.findall(r"\b(?:sluice|process)_[a-z0-9_]+", query):
                with self.subTest(name):
                    self.assertTrue({name, re.sub(r"_(bucket|sum|count)$", "", name)} & known, query)


class Controls(unittest.TestCase):
    """The rules themselves are shown a fault each and must see it."""

    def test_each_rule_sees_its_planted_fault(self):
        def pod(o):
            return of_kind(o, "Deployment")["spec"]["template"]["spec"]

        def container(o):
            return pod(o)["containers"][0]

        for name, plant in {
            "may run as root": lambda o: pod(o)["securityContext"].update(runAsNonRoot=False),
            "hostNetwork": lambda o: pod(o).update(hostNetwork=True),
            "token is mounted": lambda o: pod(o).pop("automountServiceAccountToken"),
            "root file system": lambda o: container(o)["securityContext"].update(readOnlyRootFilesystem=False),
            "capabilities": lambda o: container(o)["securityContext"].pop("capabilities"),
            "not pinned": lambda o: container(o).update(image="sluice/device-registry:latest"),
            "no limits of memory": lambda o: container(o)["resources"]["limits"].pop("memory"),
            "livenessProbe": lambda o: container(o)["livenessProbe"]["httpGet"].update(path="/readyz"),
            "no size limit": lambda o: pod(o)["volumes"][1]["emptyDir"].pop("sizeLimit"),
            "no network policy": lambda o: [x["spec"].update(podSelector={"matchLabels": {"x": "y"}}) for x in o
                                            if x["kind"] == "NetworkPolicy"],
            "lets everything through": lambda o: of_kind(o, "NetworkPolicy")["spec"]["egress"].append({}),
            "disruption budget": lambda o: o.remove(of_kind(o, "PodDisruptionBudget")),
            "selects 0 workloads": lambda o: of_kind(o, "Service")["spec"].update(selector={"x": "y"}),
            "ops port is published": lambda o: of_kind(o, "Service")["spec"]["ports"].append(
                {"name": "ops", "port": 8081, "targetPort": "ops"}),
            "secret went through values": lambda o: o.append({"kind": "Secret", "metadata": {"name": "x"}}),
        }.items():
            with self.subTest(name):
                objects = copy.deepcopy(stage().render("sluice", stage().preset("prod")))
                plant(objects)
                self.assertTrue(any(name in complaint for complaint in rules.complaints(objects)),
                                rules.complaints(objects))
