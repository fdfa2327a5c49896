"""What previews may reach from their networks, as one nftables table of the installation.

A table of our own goes beside Docker's rules, whatever these are made with, and outlives a restart
of the Engine. https://wiki.nftables.org/wiki-nftables/index.php/Quick_reference-nftables_in_10_minutes
"""

from __future__ import annotations

import asyncio
import ipaddress
import shutil
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from previewdrop.domain.errors import ServerError
from previewdrop.drivers.docker.commands import bridge_prefix

_PRIVATE = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/3",
)
"""Everything that is not the internet, cloud metadata among it: RFC 6890, and Azure's own address.

https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16
"""


@dataclass(frozen=True, slots=True)
class Opening:
    """An address that previews may reach though it is private: a data server of the user's."""

    host: str
    port: int
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Firewall:
    """The rules of one installation. `edge_ports` are those of an edge that is public."""

    installation: str
    openings: Sequence[Opening] = ()
    edge_ports: Collection[int] = ()

    @property
    def table(self) -> str:
        return f"previewdrop_{self.installation}"

    @property
    def text(self) -> str:
        """The whole table for `nft -f -`, which replaces the former one at once.

        Traffic between two addresses of one bridge stays on bridges of ours; that between two of
        them is Docker's to stop, which it does for all of its bridges. A reset always arrives,
        where Linux sends ICMP errors to one address at most once a second.
        """
        ours = f'"{bridge_prefix(self.installation)}*"'
        private = ", ".join(_PRIVATE)
        doors = [f"ip daddr {o.host} {o.protocol} dport {o.port} accept" for o in self.openings]
        edge = ", ".join(str(port) for port in sorted(self.edge_ports))
        return "\n".join(
            (
                f"table inet {self.table} {{}}",
                f"delete table inet {self.table}",
                f"table inet {self.table} {{",
                "  chain refuse {",
                "    meta l4proto tcp reject with tcp reset",
                "    reject",
                "  }",
                "  chain previews {",
                "    ct state established,related accept",
                f"    oifname {ours} accept",
                "    meta nfproto ipv6 goto refuse",
                *(f"    {door}" for door in doors),
                f"    ip daddr {{ {private} }} goto refuse",
                "  }",
                "  chain forward {",
                "    type filter hook forward priority filter - 10; policy accept;",
                f"    iifname {ours} jump previews",
                f"    iifname != {ours} oifname {ours} ct state new goto refuse",
                "  }",
                "  chain input {",
                "    type filter hook input priority filter - 10; policy accept;",
                f"    iifname {ours} ct state established,related accept",
                *(f"    iifname {ours} {door}" for door in doors),
                *([f"    iifname {ours} tcp dport {{ {edge} }} accept"] if edge else []),
                f"    iifname {ours} goto refuse",
                "  }",
                "}",
                "",
            )
        )

    async def enforce(self) -> None:
        """Puts the rules in force. ServerError when this machine or user cannot."""
        await _nft(self.text)

    def keep(self, file: Path) -> None:
        """Writes the rules down, for a machine that starts to put them in force before Docker."""
        if not file.exists() or file.read_text() != self.text:
            fresh = file.with_suffix(".new")
            fresh.write_text(self.text)
            fresh.replace(file)

    async def remove(self) -> None:
        await _nft(f"table inet {self.table} {{}}\ndelete table inet {self.table}\n")


def nameservers(resolv_conf: str) -> list[Opening]:
    """Those of a resolv.conf that previews ask through Docker; loopback ones Docker asks itself."""
    found: list[Opening] = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ipaddress.ip_address(words[1])
        except ValueError:
            continue
        if address.version == 4 and not address.is_loopback:
            found += (Opening(str(address), 53, "udp"), Opening(str(address), 53, "tcp"))
    return found


async def resolved(host: str, port: int) -> list[Opening]:
    """The addresses of a server by name, as they are now; none when it has no name."""
    try:
        ipv4 = await asyncio.get_running_loop().getaddrinfo(
            host, port, family=socket.AF_INET, type=socket.SOCK_STREAM
        )
    except OSError:
        return []
    addresses = dict.fromkeys(str(each[4][0]) for each in ipv4)
    return [Opening(one, port) for one in addresses if not ipaddress.ip_address(one).is_loopback]


async def _nft(text: str) -> None:
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise ServerError("There is no nft on this machine.", "Install nftables.")
    process = await asyncio.create_subprocess_exec(
        program,
        "-f",
        "-",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate(text.encode())
    if process.returncode:
        first = (said.decode(errors="replace").strip().splitlines() or ["it said nothing"])[0]
        raise ServerError(
            f"nft refused the firewall of previews: {first.rstrip('.')}.",
            "Run PreviewDrop as root, or give it CAP_NET_ADMIN.",
        )
