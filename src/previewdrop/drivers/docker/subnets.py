"""Addresses: a small subnet for each preview's network, and who has which address in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

PREFIX = 26
"""A preview's network: 64 addresses. Docker's own pools would end after about 30 networks."""

COMPANIONS: Mapping[str, int] = {"db": 2, "cache": 3}
_FIRST_WEB, _END_OF_WEBS = 4, 32
"""Web containers have fixed addresses in the lower half; Docker hands out those of the upper."""


@dataclass(frozen=True, slots=True)
class Subnet:
    """One of the pool's subnets. `index` counts from 0 and names its bridge."""

    network: IPv4Network
    index: int

    @property
    def gateway(self) -> str:
        """The host's own address, which requests from the edge come from."""
        return str(self.network[1])

    def companion(self, alias: str) -> str:
        """The address of a service: the same in every preview's network, counted from its start."""
        return str(self.network[COMPANIONS[alias]])

    def web(self, taken: Collection[str]) -> str | None:
        """An address for one more web container; None when all are taken."""
        places = (str(self.network[at]) for at in range(_FIRST_WEB, _END_OF_WEBS))
        return next((place for place in places if place not in taken), None)

    @property
    def handed_out(self) -> str:
        """The range from which Docker gives addresses to everything else."""
        return str(list(self.network.subnets(prefixlen_diff=1))[1])


def first_free(pool: IPv4Network, taken: Iterable[IPv4Network]) -> Subnet | None:
    """The first subnet of the pool that overlaps nothing in `taken`; None when the pool is full."""
    there = list(taken)
    for index, network in enumerate(pool.subnets(new_prefix=PREFIX)):
        if not any(network.overlaps(other) for other in there):
            return Subnet(network, index)
    return None


def subnet_of(pool: IPv4Network, network: IPv4Network) -> Subnet:
    """The subnet as a part of the pool; one of a former pool has an index of its own too."""
    return Subnet(network, (int(network[0]) - int(pool[0])) >> (32 - PREFIX))


def routed(table: str) -> list[IPv4Network]:
    """The networks in /proc/net/route, which no bridge may take; the default route is none.

    https://man7.org/linux/man-pages/man5/proc_pid_net.5.html
    """
    found: list[IPv4Network] = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] != "00000000":
            address, mask = (_address(fields[at]) for at in (1, 7))
            found.append(IPv4Network(f"{address}/{mask}", strict=False))
    return found


def _address(text: str) -> IPv4Address:
    """Eight hexadecimal digits in the machine's byte order, here little-endian."""
    return IPv4Address(bytes.fromhex(text)[::-1])
