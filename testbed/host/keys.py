"""SSH keys, made anew for every boot: they open this one guest and nothing else."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from testbed.errors import InfraError
from testbed.host import proc


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keys:
    """``host_key`` is dropbear's key file; ``authorized`` the line for authorized_keys."""

    host_key: bytes
    host_public: paramiko.PKey
    client: paramiko.PKey
    authorized: str


def make_keys(folder: Path) -> Keys:
    """Make a host key and a client key (Ed25519). ``folder`` is private (0700) to the caller."""
    client = Ed25519PrivateKey.generate()
    pem = client.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()
    authorized = client.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    host_file = folder / "host_key"
    printed = proc.run(["dropbearkey", "-t", "ed25519", "-f", str(host_file)]).output
    public = next((line for line in printed.splitlines() if line.startswith("ssh-ed25519 ")), None)
    if public is None:
        raise InfraError(f"dropbearkey printed no public key: {printed}")
    host_key = host_file.read_bytes()
    host_file.unlink()
    return Keys(
        host_key=host_key,
        host_public=paramiko.Ed25519Key(data=base64.b64decode(public.split()[1])),
        client=paramiko.Ed25519Key.from_private_key(io.StringIO(pem)),
        authorized=authorized.decode() + "\n",
    )
