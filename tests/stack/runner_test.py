"""`make run` with services that are not real, over a stack that is (without Kafka, which starts slowest and adds nothing here)."""

import json
import os
import shutil
import signal
import ssl
import subprocess
from pathlib import Path

from helpers import Program, TemporaryFolderCase, wait_for

HERE = Path(__file__).resolve().parent
# beta calls alpha, so alpha must be up before it and drain after it.
SETTINGS = {
    "alpha": "address_file ops_listen ops_token_file http_listen http_tls_cert_file http_tls_key_file postgres_url postgres_password_file "
             "bootstrap_admin_key_file sealing_key_file log_level prometheus_url prometheus_scrape_interval",
    "beta": "address_file alpha_address kafka_brokers redis_url redis_password_file tls_ca_file tls_cert_file tls_key_file",
}
DEMO = """
import json, os
print("demo of", os.environ["SLUICE_DEMO_URL"], json.loads(os.environ["SLUICE_DEMO_ADDRESSES"])["beta"]["grpc"])
print("key", open(os.environ["SLUICE_DEMO_KEY_FILE"]).read())
with open(os.environ["SLUICE_DEMO_TRY_FILE"], "a") as lines:
    for entry in ({"place": 2, "what": "second", "run": "echo two", "look": ""}, {"place": 1, "what": "first", "run": "echo one", "look": ""},
                  {"place": 0, "what": "A page", "run": "", "look": "http://page"}):
        lines.write(json.dumps(entry) + "\\n")
"""


class Runner(TemporaryFolderCase):
    def setUp(self):
        super().setUp()
        for name in SETTINGS:
            (self.folder / "services" / name).mkdir(parents=True)
            (self.folder / "services" / name / "main.cpp").touch()
            (self.folder / "bin").mkdir(exist_ok=True)
            shutil.copy(HERE / "fake_service.py", self.folder / "bin" / name)
            os.chmod(self.folder / "bin" / name, 0o755)
        (self.folder / "services/alpha/demo.py").write_text(DEMO)
        self.journal = self.folder / "journal"
        self.data = self.folder / "run" / "1-broker"

    def run_it(self, *arguments, **environment) -> Program:
        settings = {"FAKE_SETTINGS_" + name.upper(): text for name, text in SETTINGS.items()}
        return self.program("run.py", "--source", self.folder, "--bin", self.folder / "bin", "--data", self.folder / "run",
                            "--parts", "postgres,redis,prometheus", *arguments, FAKE_JOURNAL=str(self.journal), **settings, **environment)

    def events(self) -> list[str]:
        return self.journal.read_text().splitlines()

    def given(self, name: str) -> dict:
        line, = [event for event in self.events() if event.startswith(f"{name} given ")]
        return json.loads(line.removeprefix(f"{name} given "))

    def test_starts_the_called_first_feeds_says_where_to_look_and_drains_the_callers_first(self):
        program = self.run_it()
        program.until("Ctrl-C ends everything")
        port = json.loads((self.data / "address/alpha.json").read_text())["ops"]
        self.assertEqual(self.given("beta")["SLUICE_ALPHA_ADDRESS"], port)
        output = program.output()
        self.assertIn(f"demo of https://{port}", output)
        key = (self.data / "secrets/operator-key").read_text()
        self.assertRegex(key, r"^slk_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}$")
        self.assertIn(f"key {key}", output)
        for text in (f"https://{port}", "operator key", "CA file", "Prometheus"):
            self.assertIn(text, output)
        program.send_signal(signal.SIGTERM)
        self.assertEqual(program.ended(), 0, program.output())
        drains = [event for event in self.events() if event.endswith("drained")]
        self.assertEqual(drains, ["beta drained", "alpha drained"])
        self.assert_nothing_left()

    def test_prints_what_demos_suggest_at_the_end_and_in_order(self):
        program = self.run_it("--once")
        self.assertEqual(program.ended(), 0, program.output())
        end = program.output().partition("Sluice is up")[2]
        self.assertRegex(end, r"A page +http://page\n")
        self.assertIn("  # first\n  echo one\n\n  # second\n  echo two\n", end)
        self.assertEqual((self.data / "secrets/try").stat().st_mode & 0o777, 0o600)  # lines hold passwords

    def test_gives_a_service_what_it_declares_and_no_more(self):
        program = self.run_it("--once", SLUICE_LOG_LEVEL="debug", SLUICE_CRASH_AT="anywhere")
        self.assertEqual(program.ended(), 0, program.output())
        for name, text in SETTINGS.items():
            self.assertEqual(set(self.given(name)), {"SLUICE_" + setting.upper() for setting in text.split()}, name)
        alpha = self.given("alpha")
        self.assertEqual(alpha["SLUICE_OPS_LISTEN"], "127.0.0.1:0")
        self.assertEqual(alpha["SLUICE_LOG_LEVEL"], "debug")
        self.assertRegex(alpha["SLUICE_PROMETHEUS_URL"], r"^http://127\.0\.0\.1:\d+$")
        self.assertEqual(alpha["SLUICE_PROMETHEUS_SCRAPE_INTERVAL"], "2s")
        self.assertRegex(alpha["SLUICE_POSTGRES_URL"], r"^postgresql://sluice_alpha@127\.0\.0\.1:\d+/sluice$")
        for variable in ("SLUICE_BOOTSTRAP_ADMIN_KEY_FILE", "SLUICE_SEALING_KEY_FILE", "SLUICE_OPS_TOKEN_FILE", "SLUICE_POSTGRES_PASSWORD_FILE",
                         "SLUICE_HTTP_TLS_KEY_FILE"):
            self.assertEqual(Path(alpha[variable]).stat().st_mode & 0o777, 0o600, variable)
        self.assert_nothing_left()

    def test_gives_each_service_a_certificate_in_its_name(self):
        self.assertEqual(self.run_it("--once").ended(), 0)
        beta = self.given("beta")
        context = ssl.create_default_context(cafile=beta["SLUICE_TLS_CA_FILE"])
        context.load_cert_chain(beta["SLUICE_TLS_CERT_FILE"], beta["SLUICE_TLS_KEY_FILE"])  # raises when they do not fit
        checked = subprocess.run(["openssl", "verify", "-x509_strict", "-verify_hostname", "beta", "-purpose", "sslclient",
                                  "-CAfile", beta["SLUICE_TLS_CA_FILE"], beta["SLUICE_TLS_CERT_FILE"]], text=True, capture_output=True)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        web = subprocess.run(["openssl", "verify", "-verify_hostname", "alpha", "-CAfile", beta["SLUICE_TLS_CA_FILE"],
                              self.given("alpha")["SLUICE_HTTP_TLS_CERT_FILE"]], text=True, capture_output=True)
        self.assertNotEqual(web.returncode, 0, "what operators talk to must not pass for a service")

    def test_keeps_identities_and_keys_for_the_next_run(self):
        def kept():
            return {path.name: path.read_bytes() for folder in ("secrets", "tls") for path in (self.data / folder).iterdir()}
        self.assertEqual(self.run_it("--once").ended(), 0)
        before = kept()
        self.assertEqual(self.run_it("--once").ended(), 0)
        self.assertEqual(kept(), before)

    def test_lets_prometheus_scrape_with_the_token(self):
        program = self.run_it()
        program.until("Ctrl-C ends everything")
        token = (self.data / "secrets/ops-token").read_text()
        for name in SETTINGS:
            wait_for(lambda: f"{name} scraped with Bearer {token}" in self.events(), program.output)

    def test_shows_the_last_words_of_a_service_that_cannot_start(self):
        program = self.run_it(FAKE_CRASH="beta")
        self.assertEqual(program.ended(), 1)
        self.assertIn("beta ended with status -6", program.output())
        self.assertIn("the fake's last words", program.output())
        self.assertIn("alpha drained", self.events())
        self.assert_nothing_left()

    def test_ends_with_failure_when_a_service_dies_later(self):
        program = self.run_it()
        program.until("Ctrl-C ends everything")
        alpha, = [folder.name for folder in Path("/proc").glob("[0-9]*") if self.is_fake(folder, "alpha")]
        os.kill(int(alpha), signal.SIGKILL)
        self.assertEqual(program.ended(), 1)
        self.assertIn("alpha ended with status -9", program.output())
        self.assertIn("beta drained", self.events())
        self.assert_nothing_left()

    def is_fake(self, process: Path, name: str) -> bool:
        try:
            return str(self.folder / "bin" / name).encode() in (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False

    def test_ends_with_failure_when_a_demo_fails(self):
        (self.folder / "services/alpha/demo.py").write_text("raise SystemExit('nothing works')")
        program = self.run_it("--once")
        self.assertEqual(program.ended(), 1)
        self.assertIn("nothing works", program.output())
        self.assert_nothing_left()

    def test_leaves_nothing_when_it_is_killed(self):
        program = self.run_it()
        program.until("Ctrl-C ends everything")
        program.kill()
        program.ended()
        self.assert_nothing_left()
