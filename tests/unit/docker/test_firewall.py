"""The firewall's rules as text."""

from __future__ import annotations

from previewdrop.drivers.docker.firewall import Firewall, Opening, nameservers


def test_the_table_is_replaced_as_a_whole() -> None:
    text = Firewall("0123456789").text
    head = text.splitlines()[:3]
    assert head == [
        "table inet previewdrop_0123456789 {}",
        "delete table inet previewdrop_0123456789",
        "table inet previewdrop_0123456789 {",
    ]
    assert 'iifname "pd0123456-*" jump previews' in text


def test_openings_come_before_what_is_private_and_metadata_is_private() -> None:
    lines = Firewall("0123456789", [Opening("10.0.0.5", 5432)]).text.splitlines()
    opening = lines.index("    ip daddr 10.0.0.5 tcp dport 5432 accept")
    assert '    iifname "pd0123456-*" ip daddr 10.0.0.5 tcp dport 5432 accept' in lines
    (private,) = [at for at, line in enumerate(lines) if "169.254.0.0/16" in line]
    assert opening < private
    assert lines[private].endswith("goto refuse")
    assert "168.63.129.16" in lines[private]


def test_the_host_is_closed_but_for_a_public_edge() -> None:
    closed = Firewall("0123456789").text
    assert "dport" not in closed
    public = Firewall("0123456789", edge_ports=(443, 80)).text
    assert 'iifname "pd0123456-*" tcp dport { 80, 443 } accept' in public
    assert public.index("tcp dport { 80, 443 } accept") < public.index('"pd0123456-*" goto refuse')


def test_nameservers_of_the_machine_answer_previews_too() -> None:
    text = "search x\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nnameserver bad\n"
    assert nameservers(text) == [Opening("10.0.0.2", 53, "udp"), Opening("10.0.0.2", 53, "tcp")]


def test_nobody_comes_in_from_elsewhere() -> None:
    text = Firewall("0123456789").text
    rule = 'iifname != "pd0123456-*" oifname "pd0123456-*" ct state new goto refuse'
    assert rule in text
