"""How `make test` counts: whatever is not a passed case is a failed one, and nothing counts twice."""

import asyncio
import io
import sys
import tempfile
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import run_tests
from run_tests import _program_verdict, _verdict


def report(*cases: dict) -> dict:
    return {"testsuites": [{"name": "Suite", "testsuite": [{"status": "RUN", "result": "COMPLETED"} | case for case in cases]}]}


GOOD, BAD = {"name": "Good"}, {"name": "Bad", "failures": [{"failure": "no"}]}


class ProgramOfGoogleTest(unittest.TestCase):
    def test_counts_cases(self):
        self.assertEqual(_program_verdict(report(GOOD, GOOD, BAD), False), (2, ["Suite.Bad"]))

    def test_counts_a_skipped_case_as_failed(self):
        self.assertEqual(_program_verdict(report(GOOD, {"name": "Shy", "result": "SKIPPED"}), True), (1, ["Suite.Shy"]))

    def test_counts_a_crash_without_report_as_failed(self):
        passed, failed = _program_verdict(None, False)
        self.assertEqual((passed, len(failed)), (0, 1))

    def test_names_the_case_in_which_a_program_was_killed(self):
        output = "[ RUN      ] Suite.Good\n[       OK ] Suite.Good (3 ms)\n[ RUN      ] Suite.Hangs\na line of a log\n"
        passed, failed = _program_verdict(None, False, output)
        self.assertEqual((passed, len(failed)), (0, 1))
        self.assertIn("Suite.Hangs", failed[0])

    def test_blames_no_case_that_has_ended(self):
        for end in ("[       OK ] Suite.Good (3 ms)", "[  FAILED  ] Suite.Good, where GetParam() = 1 (3 ms)"):
            _, failed = _program_verdict(None, False, f"[ RUN      ] Suite.Good\n{end}\n")
            self.assertNotIn("Suite.Good", failed[0])

    def test_counts_an_end_with_an_error_after_good_cases_as_failed(self):
        passed, failed = _program_verdict(report(GOOD), False)
        self.assertEqual((passed, len(failed)), (1, 1))

    def test_counts_a_program_without_cases_as_failed(self):
        self.assertEqual(_program_verdict(report(), True), (0, ["no case in it"]))


class FolderOfTests(unittest.TestCase):
    def test_counts_what_its_last_line_says_and_names_what_failed(self):
        self.assertEqual(_verdict("FAILED one thing\n3 passed, 2 failed\n", 1), (3, ["one thing", "see above"]))

    def test_counts_a_missing_last_line_as_failed(self):
        for output in ("", "all good\n", "3 passed, 0 failed\nand more\n"):
            self.assertEqual(len(_verdict(output, 0)[1]), 1, output)

    def test_counts_a_bad_status_as_failed(self):
        self.assertEqual(_verdict("3 passed, 0 failed\n", 1), (3, ["it ended with 1"]))

    def test_believes_a_good_last_line_and_status(self):
        self.assertEqual(_verdict("noise\n3 passed, 0 failed\n", 0), (3, []))


class FoldersOfTests(unittest.TestCase):
    def test_one_that_cannot_be_started_is_counted_and_in_no_others_way(self):
        with tempfile.TemporaryDirectory() as name, redirect_stdout(io.StringIO()):
            folder, tally = Path(name), run_tests.Tally()
            for test, text in (("bad", "no program"), ("good", "#!/bin/sh\necho 3 passed, 0 failed\n")):
                (folder / "tests" / test).mkdir(parents=True)
                program = folder / "tests" / test / "run"
                program.write_text(text)
                program.chmod(0o755)
            stack = SimpleNamespace(data=folder, environment=dict)
            with mock.patch.object(run_tests, "SOURCE", folder):
                asyncio.run(run_tests.run_folders(stack, SimpleNamespace(only=None, jobs=2, build=folder), tally))
        self.assertEqual(tally.passed, 3)
        self.assertEqual(len(tally.failed), 1)
        self.assertIn("tests/bad", tally.failed[0])

    def test_needs_a_job(self):
        for text in ("0", "-1", "many"):
            with (mock.patch.object(sys, "argv", ["run_tests.py", "--jobs", text]), mock.patch.object(run_tests, "test") as test,
                  redirect_stderr(io.StringIO())):
                self.assertRaises(SystemExit, run_tests.main)
                test.assert_not_called()


if __name__ == "__main__":
    unittest.main()
