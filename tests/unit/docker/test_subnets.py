"""Subnets of the pool, and addresses in them."""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from previewdrop.drivers.docker.subnets import PREFIX, Subnet, first_free, routed, subnet_of

POOL = IPv4Network("10.213.0.0/16")


def test_the_first_that_overlaps_nothing_is_taken() -> None:
    taken = [IPv4Network("10.213.0.0/25"), IPv4Network("172.17.0.0/16")]
    found = first_free(POOL, taken)
    assert found == Subnet(IPv4Network("10.213.0.128/26"), 2)


def test_a_full_pool_has_none() -> None:
    assert first_free(IPv4Network("10.0.0.0/25"), [IPv4Network("10.0.0.0/8")]) is None


def test_a_thousand_previews_fit() -> None:
    assert len(list(POOL.subnets(new_prefix=PREFIX))) == 1024


@given(st.integers(0, 1023))
def test_a_subnet_is_known_again(index: int) -> None:
    network = list(POOL.subnets(new_prefix=PREFIX))[index]
    assert subnet_of(POOL, network) == Subnet(network, index)


def test_web_containers_have_addresses_that_nobody_else_is_given() -> None:
    subnet = Subnet(IPv4Network("10.213.0.0/26"), 0)
    taken: list[str] = []
    while (address := subnet.web(taken)) is not None:
        taken.append(address)
    assert len(taken) == 28
    reserved = {subnet.gateway, subnet.companion("db"), subnet.companion("cache")}
    assert not reserved & set(taken)
    handed_out = IPv4Network(subnet.handed_out)
    assert not [one for one in taken if one in map(str, handed_out)]


def test_routes_of_the_host_are_taken_and_its_default_route_is_not() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert routed(table) == [IPv4Network("172.17.0.0/16")]
