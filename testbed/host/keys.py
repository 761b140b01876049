"""SSH keys, made anew for every guest: they open this one guest and are on no disk of the host."""

import io
import struct
from dataclasses import dataclass
from typing import Final

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KIND: Final = b"ssh-ed25519"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keys:
    """``host_key`` is dropbear's key file; ``authorized`` the line for authorized_keys."""

    host_key: bytes
    host_public: paramiko.PKey
    client: paramiko.PKey
    authorized: str


def make_keys() -> Keys:
    """Make a host key and a client key (Ed25519)."""
    host, client = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    pem = client.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    ).decode()
    authorized = client.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return Keys(
        host_key=_pack_for_dropbear(host),
        host_public=paramiko.Ed25519Key(
            data=_pack(_KIND) + _pack(host.public_key().public_bytes_raw())
        ),
        client=paramiko.Ed25519Key.from_private_key(io.StringIO(pem)),
        authorized=authorized.decode(),
    )


def _pack_for_dropbear(key: Ed25519PrivateKey) -> bytes:
    """Return ``key`` as dropbearkey writes it (ed25519.c, dropbear 2022.83): seed, then public."""
    return _pack(_KIND) + _pack(key.private_bytes_raw() + key.public_key().public_bytes_raw())


def _pack(value: bytes) -> bytes:
    """Return an SSH string (RFC 4251, 5): a length of 32 bits, then the bytes."""
    return struct.pack(">I", len(value)) + value
