"""The house rules that the compiler cannot see. libs/README.md, libs/STYLE.md and services/README.md have them in words."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tree import File, Tree


@dataclass(frozen=True)
class Rule:
    name: str
    why: str
    check: Callable[[Tree], Iterator[str]]
    planted: dict[str, str]  # files of a small project that breaks the rule
    expected: str  # what the complaint must contain


RULES: list[Rule] = []


def rule(why: str, planted: dict[str, str], expected: str):
    def register(check):
        RULES.append(Rule(check.__name__, why, check, planted, expected))
        return check
    return register


def matches(files, pattern: str) -> Iterator[tuple[File, int, re.Match]]:
    """Where a pattern occurs outside of comments."""
    compiled = re.compile(pattern)
    for file in files:
        for number, line in enumerate(file.lines, 1):
            found = compiled.search(line)
            if found and not line.lstrip().startswith("//"):
                yield file, number, found


PICTURE = "```\nL2  config  log\nL1  metrics\nL0  base       Result\n```\n"


def layers(tree: Tree) -> dict[str, int]:
    """The picture in libs/README.md: library -> layer. Names end where two blanks are followed by prose."""
    found = {}
    known = set(tree.folders("libs"))
    for level, rest in re.findall(r"^L([T0-9])  (.*)$", tree.text("libs/README.md"), re.MULTILINE):
        for name in re.split(r"\s+", rest):
            if name not in known:
                break
            found[name] = 9 if level == "T" else int(level)
    return found


@rule("libraries include only what lies on their layer or below, and never in a circle",
      {"libs/README.md": PICTURE, "libs/log/src/a.cpp": "", "libs/config/src/a.cpp": "",
       "libs/metrics/src/a.cpp": "#include <sluice/log/logger.h>\n", "libs/base/src/a.cpp": ""},
      "libs/metrics/src/a.cpp:1: L1 includes log of L2")
def layering(tree: Tree) -> Iterator[str]:
    level = layers(tree)
    for name in set(tree.folders("libs")) - set(level) - {"cmake"}:
        yield f"libs/README.md: {name} is missing in the picture of layers"
    uses: dict[str, set[str]] = {}
    libraries = [file for file in tree.code if file.path.startswith("libs/") and not file.is_test]
    for file, number, found in matches(libraries, r'#include <sluice/([a-z_]+)/'):
        own, other = file.path.split("/")[1], found[1]
        if own == other or other not in level or own not in level:
            continue
        uses.setdefault(own, set()).add(other)
        if level[other] > level[own]:
            yield f"{file.path}:{number}: L{level[own]} includes {other} of L{level[other]}"
    for start in uses:
        seen, todo = set(), [*uses[start]]
        while todo:
            name = todo.pop()
            if name == start:
                yield f"libs/{start} includes itself in a circle"
                break
            if name not in seen:
                seen.add(name)
                todo += uses.get(name, ())


# A header's first words -> the libraries that wrap it. grpc's stubs also belong to services' adapters.
WRAPPED = {
    r"librdkafka/": {"kafka"},
    r"pqxx/|libpq-fe|libpq/": {"postgres"},
    r"hiredis": {"redis"},
    r"httplib\.h": {"http", "service"},
    r"grpc": {"grpc"},
    r"prometheus/": {"metrics"},
    r"yaml-cpp/": {"config", "http"},
    r"openssl/|sluice/crypto/openssl\.h": {"crypto", "redis", "http", "net"},
}


@rule("each third-party header is included by the library that wraps it",
      {"services/x/adapters/a.cpp": "#include <librdkafka/rdkafka.h>\n"}, "services/x/adapters/a.cpp:1: librdkafka/")
def third_party(tree: Tree) -> Iterator[str]:
    for pattern, owners in WRAPPED.items():
        for file, number, found in matches(tree.code, rf'#include [<"]({pattern})'):
            if file.is_test or (file.folder.startswith("libs/") and file.path.split("/")[1] in owners):
                continue
            yield f"{file.path}:{number}: {found[1]} is for libs/{', libs/'.join(sorted(owners))}"


@rule("stubs of gRPC are for adapters",
      {"services/x/core/a.cpp": "#include <sluice/device/v1/device.grpc.pb.h>\n"}, "services/x/core/a.cpp:1")
def stubs(tree: Tree) -> Iterator[str]:
    for file, number, _ in matches(tree.code, r'#include <.*\.grpc\.pb\.h>'):
        if not (file.is_test or "/adapters/" in file.path or file.folder in ("libs/grpc", "libs/registry_client")):
            yield f"{file.path}:{number}: generated stubs belong to adapters/"


# A word of code -> who may use it, as the beginnings of paths.
RESERVED = {
    r"\b(secure_)?getenv\s*\(|\benviron\b": ("libs/config/", "libs/base/src/crash_point", "libs/base/src/planted_bug"),
    r"\b(sigaction|sigprocmask|pthread_sigmask|std::signal|signalfd)\s*\(": ("libs/service/",),
    r"\b(system_clock|steady_clock|high_resolution_clock)::now\b|\bclock_gettime\s*\(|\bgettimeofday\s*\(":
        ("libs/base/", "libs/service/"),
    r"\brandom_device\b|\bgetrandom\s*\(|\bRAND_bytes\s*\(|\bs?rand\s*\(|\bmt19937": ("libs/base/", "libs/crypto/"),
    r"\bsleep_(for|until)\s*\(|\bu?sleep\s*\(": ("libs/base/",),
    r"\.detach\s*\(\)": (),
}


@rule("environment, signals, clocks, randomness and pauses have one owner each",
      {"libs/kafka/src/a.cpp": "auto t = std::chrono::steady_clock::now();\n"}, "libs/kafka/src/a.cpp:1")
def reserved_words(tree: Tree) -> Iterator[str]:
    for pattern, owners in RESERVED.items():
        for file, number, found in matches(tree.code, pattern):
            if not file.is_test and not file.path.startswith(owners or ("//",)):
                yield f"{file.path}:{number}: {found[0].strip()} is for {', '.join(owners) or 'nobody'}"


IMPURE = (r'#include <(thread|mutex|shared_mutex|condition_variable|atomic|future|fstream|iostream|filesystem|stop_token'
          r'|unistd\.h|fcntl\.h|poll\.h|sys/.*|netinet/.*|arpa/.*)>'
          r'|#include <sluice/(log|metrics|config|kafka|postgres|redis|grpc|http|auth|crypto|service|testing)/')


# What several loops share must hold a lock or an atomic; the class says so, and threads stay with the adapters.
SHARED = r"#include <(mutex|shared_mutex|atomic)>"


@rule("core/ decides and does nothing else: no I/O, threads, log or stores; locks and atomics only where a class says that it"
      " is Thread-safe, counters only in *_metrics.h",
      {"services/x/core/a.h": "#include <mutex>\n", "services/x/core/b.h": "#include <mutex>\n/// Of all loops. Thread-safe.\n",
       "services/x/core/x_metrics.h": "#include <sluice/metrics/metrics.h>\n"}, "services/x/core/a.h:1: <mutex>")
def pure_cores(tree: Tree) -> Iterator[str]:
    cores = [file for file in tree.code if re.match(r"services/[^/]+/(core/|ports\.h)", file.path) and not file.is_test]
    headers = {file.path: "\n".join(file.lines) for file in cores if file.path.endswith(".h")}
    for file, number, found in matches(cores, IMPURE):
        header = headers.get(re.sub(r"\.cpp$", ".h", file.path), "")
        if re.match(SHARED, found[0]) and re.search(r"///.*([Tt]hread-safe|all threads)", header):
            continue
        if "sluice/metrics" in found[0] and file.path.endswith("_metrics.h"):
            continue
        yield f"{file.path}:{number}: {found[0].removeprefix('#include ')} in a core"


@rule("services meet in proto/ alone: none includes another, no library includes one",
      {"services/x/main.cpp": "", "services/y/core/a.cpp": '#include "../../x/core/b.h"\n',
       "libs/base/a.h": '#include "services/x/ports.h"\n'}, "services/y/core/a.cpp:1")
def separate_services(tree: Tree) -> Iterator[str]:
    for file, number, found in matches(tree.code, r'#include [<"](\.\./\.\./[^">]+|services/[^">]+)'):
        yield f"{file.path}:{number}: includes {found[1]}"


@rule("main.cpp wires and does nothing else",
      {"services/x/main.cpp": "int main() {}\n" * 61}, "services/x/main.cpp: 61 lines")
def short_mains(tree: Tree) -> Iterator[str]:
    for file in tree.code:
        if re.fullmatch(r"services/[^/]+/main\.cpp", file.path) and len(file.lines) > 60:
            yield f"{file.path}: {len(file.lines)} lines, 60 are enough for wiring"


@rule("every service has its README, its chart, its line in the umbrella and its line in skaffold.yaml",
      {"services/x/main.cpp": "", "services/x/README.md": "", "charts/x/Chart.yaml": "",
       "charts/sluice/Chart.yaml": "- {name: x, version: 1}\n"}, "skaffold.yaml: no line for x")
def complete_services(tree: Tree) -> Iterator[str]:
    paths = set(tree.paths)
    for service in tree.folders("services"):
        for path in (f"services/{service}/README.md", f"services/{service}/main.cpp", f"charts/{service}/Chart.yaml",
                     f"charts/{service}/values.yaml", f"charts/{service}/templates/all.yaml"):
            if path not in paths:
                yield f"{path} is missing"
        for path, pattern in (("charts/sluice/Chart.yaml", rf"name: {service}\b"), ("skaffold.yaml", rf"\b{service}\b"),
                              ("services/README.md", rf"\]\({service}/README\.md\)")):
            if not re.search(pattern, tree.text(path)):
                yield f"{path}: no line for {service}"


@rule("every library and every top-level folder explains itself",
      {"libs/x/CMakeLists.txt": "", "libs/README.md": ""}, "libs/x/README.md is missing")
def readmes(tree: Tree) -> Iterator[str]:
    paths = set(tree.paths)
    folders = [f"libs/{name}" for name in tree.folders("libs") if name != "cmake"]
    folders += [top for top in ("services", "proto", "charts", "libs", "tests") if tree.folders(top)]
    for folder in folders:
        if f"{folder}/README.md" not in paths:
            yield f"{folder}/README.md is missing"


@rule("the top level holds what a newcomer expects and nothing else",
      {"scratch.txt": ""}, "scratch.txt does not belong")
def top_level(tree: Tree) -> Iterator[str]:
    allowed = {"services", "proto", "charts", "docker", "libs", "tests", "Makefile", "skaffold.yaml", "README.md",
               "LICENSE", "CMakeLists.txt", "CMakePresets.json"}
    for name in sorted({path.split("/")[0] for path in tree.paths}):
        if name not in allowed and not name.startswith("."):
            yield f"{name} does not belong at the top level"


@rule("links between our own pages lead somewhere",
      {"README.md": "[there](docs/nothing.md)\n"}, "README.md: docs/nothing.md")
def links(tree: Tree) -> Iterator[str]:
    known = set(tree.paths) | {"/".join(path.split("/")[:depth]) for path in tree.paths for depth in range(1, 6)}
    for file in tree.files:
        if not file.path.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", file.text):
            if re.match(r"[a-z]+:", target):
                continue
            parts = file.path.split("/")[:-1]
            for step in target.rstrip("/").split("/"):
                parts = parts[:-1] if step == ".." else parts + [step] * (step != ".")
            if "/".join(parts) not in known:
                yield f"{file.path}: {target} does not exist"


@rule("a topic has one name, in the table, in the code and in the chart",
      {"proto/README.md": "| `telemetry.raw` | x |\n",
       "libs/kafka/include/sluice/kafka/topics.h": '"telemetry.raw" "telemetry.row"\n',
       "charts/sluice/values.yaml": "topics:\n  list:\n    telemetry.raw: {}\n"}, "telemetry.row")
def topics(tree: Tree) -> Iterator[str]:
    table = set(re.findall(r"^\| `([a-z.]+)` \|", tree.text("proto/README.md"), re.MULTILINE))
    name = r"(?:telemetry|control|shadow|device|validator)\.[a-z]+|alerts|audit"
    code = tree.text("libs/kafka/include/sluice/kafka/topics.h") + tree.text("libs/kafka/src/topics.cpp")
    chart = tree.text("charts/sluice/values.yaml").partition("  list:")[2]
    for place, found in (("libs/kafka topics", set(re.findall(rf'"({name})"', code))),
                         ("charts/sluice/values.yaml", set(re.findall(rf"^    ({name}):", chart, re.MULTILINE)))):
        for topic in sorted(found ^ table):
            yield f"{place} and proto/README.md differ on {topic}"


@rule("no secret, machine path or private host in the tree",
      {"docker/x.txt": "-----BEGIN " + "EC PRIVATE KEY-----\n"}, "docker/x.txt:1")
def nothing_private(tree: Tree) -> Iterator[str]:
    pattern = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*$|(?:/home/[a-z]+|/root|/work)/[a-z.]|AKIA[0-9A-Z]{16}"
                         r"|\"resolved\": \"http")
    for file in tree.files:
        if file.path.startswith("tests/tidy/"):
            continue
        for number, line in enumerate(file.lines, 1):
            if found := pattern.search(line):
                yield f"{file.path}:{number}: {found[0]}"


@rule("a test waits for what it needs; it does not sleep",
      {"libs/x/src/a_test.cpp": "  std::this_thread::sleep_for(10ms);\n"}, "libs/x/src/a_test.cpp:1")
def no_sleeps(tree: Tree) -> Iterator[str]:
    tests = [file for file in tree.code if file.path.endswith("_test.cpp")]
    for file, number, _ in matches(tests, r"\bsleep_(for|until)\s*\(|\bu?sleep\s*\("):
        # A pause may be what is tested (a slow server, nothing happening); it must then say so.
        if "// pause: " not in file.lines[number - 1]:
            yield f"{file.path}:{number}: a pause"


@rule("a test that asserts nothing is none",
      {"libs/x/src/a_test.cpp": "TEST(A, Works) {\n  run();\n}\n"}, "A.Works asserts nothing")
def tests_assert(tree: Tree) -> Iterator[str]:
    asserting = re.compile(r"\b(EXPECT|ASSERT)_|\bstatic_assert\(|\bFAIL\(|\bADD_FAILURE|\brefuses\(|[Cc]heck\w*[(<]|\b(expect|require|verify)\w*[(<]")
    for file in tree.code:
        if not file.path.endswith("_test.cpp"):
            continue
        for found in re.finditer(r"^(?:TYPED_TEST|TEST(?:_[FP])?)(?:_P)?\((\w+),\s*(\w+)\) \{(.*?)^\}", file.text,
                                 re.MULTILINE | re.DOTALL):
            if not asserting.search(found[3]):
                yield f"{file.path}: {found[1]}.{found[2]} asserts nothing"


WINDOW = 15  # lines; shorter twins are often only the same shape of calls


@rule(f"nothing of {WINDOW} lines or more exists twice",
      {"libs/a/a.cpp": "".join(f"  call_number({n});\n" for n in range(20)),
       "libs/b/b.cpp": "".join(f"  call_number({n});\n" for n in range(20))}, "libs/b/b.cpp")
def no_twins(tree: Tree) -> Iterator[str]:
    seen: dict[tuple[str, ...], str] = {}
    for file in tree.code:
        lines = [(number, text) for number, line in enumerate(file.lines, 1)
                 if (text := line.strip()) and not text.startswith(("//", "#include", "using "))]
        skip_to = 0
        for start in range(len(lines) - WINDOW + 1):
            window = tuple(text for _, text in lines[start:start + WINDOW])
            place = f"{file.path}:{lines[start][0]}"
            first = seen.setdefault(window, place)
            if first != place and start >= skip_to:
                skip_to = start + WINDOW
                yield f"{place}: the same {WINDOW} lines as {first}"
