"""A throw-away certificate authority: who the services of one machine are to each other and to curl."""

from pathlib import Path

from .process import LOOPBACK, run

KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Authority:
    def __init__(self, folder: Path):
        self._folder = folder
        self.certificate, self._key = folder / "ca.crt", folder / "ca.key"

    async def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not await self._is_good(self.certificate):
            for old in self._folder.iterdir():
                old.unlink()
            await run(["openssl", "req", "-x509", *KEY, "-subj", "/CN=Sluice on this machine alone", "-days", 3650,
                       "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                       "-keyout", self._key, "-out", self.certificate], what="making a certificate authority")

    async def identity(self, name: str) -> tuple[Path, Path]:
        """The certificate and key of a service, whose DNS name is how the others know it."""
        return await self._issue(name, f"DNS:{name},DNS:localhost,IP:{LOOPBACK}", "serverAuth,clientAuth")

    async def web(self) -> tuple[Path, Path]:
        """The certificate and key of what operators talk to. It names no service, so it is none to the others."""
        return await self._issue("localhost", f"DNS:localhost,IP:{LOOPBACK}", "serverAuth")

    async def _issue(self, name: str, names: str, usage: str) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        if not await self._is_good(certificate):
            await run(["openssl", "req", "-x509", "-CA", self.certificate, "-CAkey", self._key, *KEY, "-subj", f"/CN={name}",
                       "-days", 90, "-addext", f"subjectAltName={names}", "-addext", f"extendedKeyUsage={usage}",
                       "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature",
                       "-keyout", key, "-out", certificate], what=f"making a certificate for {name}")
        return certificate, key

    @staticmethod
    async def _is_good(certificate: Path) -> bool:
        """Is it there and valid for another week?"""
        if not certificate.exists():
            return False
        status = await run(["sh", "-c", 'openssl x509 -noout -checkend 604800 -in "$0" >/dev/null && echo good || echo old', certificate],
                           what="reading a certificate")
        return status.strip() == b"good"
