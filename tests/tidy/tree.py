"""The project's files, read once."""

import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CODE = (".h", ".cpp")
NOT_OURS = (".run/", "build/")


@dataclass(frozen=True)
class File:
    path: str  # relative to the root, with /
    text: str

    @property
    def is_code(self) -> bool:
        return self.path.endswith(CODE)

    @property
    def is_test(self) -> bool:
        """Tests, and what is there for them alone: test_x.h, testing_x.h, x_rig.h, a folder of that name."""
        *folders, name = self.path.split("/")
        return bool({"testing", "tests"} & set(folders[:3]) or
                    re.fullmatch(r".*_test\.cpp|test(ing)?_.*|.*_rig\.(h|cpp)", name))

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def folder(self) -> str:
        """libs/base, services/device-registry, …"""
        return "/".join(self.path.split("/")[:2])


class Tree:
    def __init__(self, root: Path):
        self.root = root

    @cached_property
    def paths(self) -> list[str]:
        if (self.root / ".git").exists():
            listed = subprocess.run(
                ["git", "-c", f"safe.directory={self.root}", "ls-files", "-co", "--exclude-standard"],
                cwd=self.root, check=True, capture_output=True, text=True).stdout.splitlines()
        else:
            listed = [str(path.relative_to(self.root)) for path in self.root.rglob("*")]
        return sorted(path for path in listed
                      if not path.startswith(NOT_OURS) and (self.root / path).is_file())

    @cached_property
    def files(self) -> list[File]:
        """Text files; what is not UTF-8 is data."""
        found = []
        for path in self.paths:
            try:
                found.append(File(path, (self.root / path).read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
        return found

    @property
    def code(self) -> list[File]:
        return [file for file in self.files if file.is_code]

    def text(self, path: str) -> str:
        """Empty where there is no such file."""
        target = self.root / path
        return target.read_text(encoding="utf-8") if target.is_file() else ""

    def folders(self, parent: str) -> list[str]:
        """Names of the folders in `parent` that hold a file."""
        depth = parent.count("/") + 1
        return sorted({path.split("/")[depth] for path in self.paths
                       if path.startswith(parent + "/") and path.count("/") > depth})
