"""An authority of our own, and certificates of the broker that are good or have run out."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

SETTINGS = """
[ca]
default_ca = soak
[soak]
dir = {folder}
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
certificate = {folder}/ca.crt
private_key = {folder}/ca.key
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[server]
subjectAltName = IP:127.0.0.1
basicConstraints = CA:FALSE
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
"""

DAY_S = 86400


class Certificates:
    """Makes all of them at once; `use` puts one where the broker looks."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o755)
        self._folder = folder
        self.authority, self.certificate, self.key = folder / "ca.crt", folder / "broker.crt", folder / "broker.key"
        self._settings = folder / "openssl.cnf"
        self._settings.write_text(SETTINGS.format(folder=folder))
        (folder / "index").touch()
        (folder / "serial").write_text("01\n")
        curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        now = time.time()
        self._run(f"req -new {curve} -subj /CN=soak-authority -keyout {folder}/ca.key -out {folder}/ca.csr")
        self._sign("ca", now - DAY_S, now + 30 * DAY_S, "-selfsign -extensions authority")  # also for a clock behind
        self._run(f"req -new {curve} -subj /CN=broker -keyout {self.key} -out {folder}/broker.csr")
        self._sign("good", now - DAY_S, now + 20 * DAY_S)
        self._sign("expired", now - 9 * DAY_S, now - 2 * DAY_S)
        self.use("good")

    def use(self, name: str) -> None:
        """From the broker's next start or SIGHUP on: "good" or "expired"."""
        shutil.copyfile(self._folder / f"{name}.crt", self.certificate)

    def _sign(self, name: str, begins: float, ends: float, how: str = "-extensions server") -> None:
        start, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(moment)) for moment in (begins, ends))
        self._run(
            f"ca -batch -notext {how} -startdate {start} -enddate {end} "
            f"-in {self._folder}/{'ca' if name == 'ca' else 'broker'}.csr -out {self._folder}/{name}.crt"
        )

    def _run(self, words: str) -> None:
        verb, *options = words.split()
        subprocess.run(
            ["openssl", verb, "-config", str(self._settings), *options], check=True, capture_output=True, timeout=60
        )
