"""Who listens, as the kernel's tables say."""

from __future__ import annotations

import ipaddress
import struct

_LISTEN = "0A"


def parse_listeners(table: str) -> list[tuple[str, str]]:
    """(inode, address) of each listening socket in /proc/net/tcp or tcp6.

    https://docs.kernel.org/networking/proc_net_tcp.html
    """
    found: list[tuple[str, str]] = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            found.append((fields[9], _address(fields[1])))
    return found


def _address(text: str) -> str:
    """`0100007F:1F90` is 127.0.0.1:8080: words in the machine's byte order."""
    host, port = text.split(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    return f"[{address}]:{int(port, 16)}" if address.version == 6 else f"{address}:{int(port, 16)}"
