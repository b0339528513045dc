#!/usr/bin/env python3
"""`make test`: every test of a build, with the real stack running, counted by cases rather than programs.

  run_tests.py --build build/dev [--label stack] [--only REGEX]

Runs the C++ test programs through ctest, then each executable tests/*/run. Such a program finds the build folder in
SLUICE_BUILD and the stack in SLUICE_TEST_*, and ends its output with the line `N passed, N failed`. So does this one.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.dont_write_bytecode = True  # a run leaves no file in the source tree

from parts.process import Failure, Process, say
from stack import FOR_TESTS, SOURCE, Interrupted, Stack, execute_in, running, temporary_folder, until_signal

RUN_DEADLINE_S = 1800


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, []

    def add(self, name: str, passed: int, failed: list[str], *, seconds: float = 0.0) -> None:
        self.passed += passed
        self.failed += [f"{name}: {case}" for case in failed]
        print(f"{name:<30} {passed:>5} passed {len(failed):>4} failed {seconds:>7.1f} s", flush=True)


def _cases(report: dict) -> tuple[int, list[str]]:
    """The cases of one GoogleTest report that passed, and the names of those that did not. A skipped case counts as
    failed: tests here run or fail."""
    passed, failed = 0, []
    for suite in report["testsuites"]:
        for case in suite["testsuite"]:
            if case["status"] != "RUN":
                continue  # disabled in the source
            if case.get("failures") or case["result"] != "COMPLETED":
                failed.append(f"{suite['name']}.{case['name']}")
            else:
                passed += 1
    return passed, failed


def _verdict(output: str, status) -> tuple[int, list[str]]:
    """The same of what a tests/*/run printed and how it ended."""
    closing = re.fullmatch(r"(\d+) passed, (\d+) failed", (output.splitlines() or [""])[-1].strip())
    if not closing:
        return 0, [f"its last line is not `N passed, N failed` (it ended with {status})"]
    passed, bad = int(closing[1]), int(closing[2])
    if status != 0 and not bad:
        return passed, [f"it ended with {status}"]
    # Their names as our own programs and unittest print them; the count is what the last line says.
    named = re.findall(r"(?m)^(?:FAILED|FAIL:|ERROR:) (.+)$", output)
    return passed, [named[number] if number < len(named) else "see above" for number in range(bad)]


def _unfinished_case(output: str) -> str | None:
    """The case that GoogleTest said it runs and of which it has not said how it ended. What a killed program leaves:
    its report is written at the end alone."""
    said = re.findall(r"\[( RUN      |       OK |  FAILED  |  SKIPPED )\] ([^\s,]+)", output)
    return said[-1][1] if said and said[-1][0] == " RUN      " else None


def _program_verdict(report: dict | None, passed_in_ctest: bool, output: str = "") -> tuple[int, list[str]]:
    """The same of a C++ test program: its report, if it lived to write one, and what ctest says of it."""
    passed, failed = _cases(report) if report else (0, [])
    if not passed_in_ctest and not failed:
        unfinished = None if report else _unfinished_case(output)
        if unfinished:
            return passed, [f"{unfinished} (crash or time limit while it ran)"]
        return passed, ["the program itself (crash, time limit, or a sanitizer's finding at its end)"]
    if not passed and not failed:
        return 0, ["no case in it"]
    return passed, failed


async def ctest(stack: Stack, arguments, tally: Tally) -> bool:
    """Whether there was anything to run."""
    with tempfile.TemporaryDirectory(dir=stack.data) as folder:
        junit, reports = Path(folder) / "ctest.xml", Path(folder) / "gtest"
        os.environ["GTEST_OUTPUT"] = f"json:{reports}/"
        command = ["ctest", "--test-dir", arguments.build, "--parallel", arguments.jobs, "--output-on-failure", "--no-tests=ignore",
                   "--output-junit", junit, "--test-output-truncation", "middle"]  # the end says where it stopped
        command += ["--tests-regex", arguments.only] if arguments.only else []
        command += ["--label-regex", arguments.label] if arguments.label else []
        await execute_in(stack, command)
        del os.environ["GTEST_OUTPUT"]
        programs = ElementTree.parse(junit).getroot().findall("testcase") if junit.exists() else []
        print(flush=True)
        for program in sorted(programs, key=lambda one: one.get("name")):
            name = program.get("name")
            report = reports / f"{name}.json"
            passed, failed = _program_verdict(json.loads(report.read_text()) if report.exists() else None, program.get("status") == "run",
                                              program.findtext("system-out") or "")
            tally.add(name, passed, failed, seconds=float(program.get("time") or 0))
        return bool(programs)


async def _status_of(command: Process):
    """Runs it to its end, or to the deadline."""
    try:
        await command.start()
        return await asyncio.wait_for(command.ended(), RUN_DEADLINE_S)
    except TimeoutError:
        return f"nothing within {RUN_DEADLINE_S} s"
    finally:
        await command.stop()
        command.kill_group()


async def run_folder(stack: Stack, program: Path, build: Path, tally: Tally) -> None:
    name = f"tests/{program.parent.name}"
    began = asyncio.get_running_loop().time()
    environment = os.environ | stack.environment() | {"SLUICE_BUILD": str(build), "SLUICE_BIN_DIR": str(build / "bin")}
    command = Process(name, [program], log=stack.data / "log" / f"{program.parent.name}.run", env=environment)
    output = ""
    try:
        status = await _status_of(command)
        output = command.log.read_text(errors="replace")
    except (Failure, OSError) as error:  # of this folder alone: the others go on
        status = error
    print(f"\n== {name}\n{output}", end="", flush=True)  # in one piece: others run beside it
    passed, failed = _verdict(output, status)
    tally.add(name, passed, failed, seconds=asyncio.get_running_loop().time() - began)


async def run_folders(stack: Stack, arguments, tally: Tally) -> bool:
    """As many at a time as there are jobs. Whether there was anything to run."""
    programs = [program for program in sorted(SOURCE.glob("tests/*/run"))
                if os.access(program, os.X_OK) and re.search(arguments.only or "", f"tests/{program.parent.name}")]
    places = asyncio.Semaphore(arguments.jobs)

    async def one(program: Path) -> None:
        async with places:
            await run_folder(stack, program, arguments.build, tally)

    async with asyncio.TaskGroup() as runs:
        for program in programs:
            runs.create_task(one(program))
    return bool(programs)


def _job_count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return count


async def test(arguments) -> int:
    tally = Tally()
    with temporary_folder() as folder:
        async with running(Stack(folder, FOR_TESTS, durable=False)) as stack:
            found = await ctest(stack, arguments, tally)
            if not arguments.label:
                found = await run_folders(stack, arguments, tally) or found
    if not found:
        say("test", "no test matches")
        return 1
    print("\n" + "".join(f"FAILED {name}\n" for name in tally.failed), end="")
    print(f"{tally.passed} passed, {len(tally.failed)} failed", flush=True)
    return 1 if tally.failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=SOURCE / "build/dev", help="the build folder (default: %(default)s)")
    parser.add_argument("--label", help="only C++ test programs with this label: unit or stack")
    parser.add_argument("--only", metavar="REGEX", help="only the C++ test programs and tests/ folders whose name matches")
    parser.add_argument("--jobs", type=_job_count, default=os.cpu_count())
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    try:
        return asyncio.run(until_signal(test(arguments)))
    except Interrupted:
        return 130
    except Failure as failure:
        say("test", str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main())
