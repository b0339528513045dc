"""Things that are fetched or built once a machine and then only read: $SLUICE_CACHE."""

import fcntl
import hashlib
import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
import asyncio

from .process import say


class Cache:
    def __init__(self, root: Path | None = None):
        self.root = root or Path(os.environ.get("SLUICE_CACHE") or Path.home() / ".cache" / "sluice")
        self.home = self.root / "home"
        self.home.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def lock(self, name: str):
        """Two runs at once make a thing once; the kernel frees the lock of one that is killed."""
        with open(self.root / f"{name}.lock", "w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(0.2)
            yield

    async def folder(self, name: str, recipe: bytes, make, *, notice: str) -> Path:
        """The folder that `make(folder)` fills. It is named after everything that decides its content
        (`recipe`), and appears under its name only when it is complete."""
        path = self.root / f"{name}-{hashlib.sha256(recipe).hexdigest()[:12]}"
        if path.exists():
            return path
        async with self.lock(name):
            if path.exists():
                return path
            say(name, notice)
            new = path.with_name(path.name + ".new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir(parents=True)
            await make(new)
            new.rename(path)
        return path
