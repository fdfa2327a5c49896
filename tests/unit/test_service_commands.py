"""What the embedded services are started with, and the ports and lock of a data folder."""

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from previewdrop.config.home import Home
from previewdrop.domain.errors import ServerError
from previewdrop.domain.secret import Secret
from previewdrop.services import postgres, valkey
from previewdrop.services.lock import HomeLock
from previewdrop.services.ports import Ports, free_port, holder
from previewdrop.services.supervisor import bound

BIN = Path("/wheel/bin")


def test_initdb():
    assert postgres.initdb_argv(BIN, Path("/home/data"), Path("/home/password")) == (
        "/wheel/bin/initdb",
        "--pgdata=/home/data",
        "--username=postgres",
        "--pwfile=/home/password",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    )


def test_postgres_listens_on_loopback_with_passwords_only():
    config = postgres.config_text(7781, Path("/home/sockets"))
    assert "listen_addresses = '127.0.0.1'\nport = 7781\n" in config
    assert "unix_socket_directories = '\"/home/sockets\"'\nunix_socket_permissions = 0700" in config
    assert "fsync" not in config.replace("recovery_init_sync_method = fsync", "")
    assert postgres.hba_text() == (
        "local all all scram-sha-256\n"
        "host all postgres,previewdrop 127.0.0.1/32 reject\n"
        "host all all 127.0.0.1/32 scram-sha-256\n"
    )


def test_a_folder_of_sockets_may_have_any_name():
    config = postgres.config_text(7781, Path("""/it's a "home", \\o/"""))
    assert """= '"/it''s a ""home"", \\\\o"'\n""" in config
    assert 'unixsocket "/a \\"b\\" \\\\c"\n' in valkey.config_text(1, 2, Path('/a "b" \\c'))


def test_readiness_is_read_from_postmaster_pid():
    text = "42\n/home/data\n1\n7781\n\n127.0.0.1\n  1 2\nready   \n"
    assert postgres.is_ready(text, 42)
    assert not postgres.is_ready(text, 43)
    assert not postgres.is_ready(text.replace("ready", "starting"), 42)
    assert not postgres.is_ready("", 42)


def test_previews_are_kept_out_of_our_databases():
    assert postgres.close_databases().as_string(None) == (
        'REVOKE ALL ON DATABASE postgres, template1, "previewdrop" FROM PUBLIC'
    )


def test_valkey_listens_on_loopback_and_keeps_its_data():
    config = valkey.config_text(7782, 1024, Path("/home/sockets/valkey.sock"))
    for line in (
        "bind 127.0.0.1",
        "port 7782",
        'unixsocket "/home/sockets/valkey.sock"\nunixsocketperm 700',
        "databases 1024",
        "appendonly yes",
    ):
        assert f"{line}\n" in config


def test_valkey_s_memory_is_bounded():
    argv = valkey.server_argv(BIN / "valkey-server", Path("/home/valkey.conf"))
    assert argv[-2:] == ("/wheel/bin/valkey-server", "/home/valkey.conf")
    if sys.platform == "linux":
        assert argv[:-2] == ("/bin/sh", "-c", 'ulimit -v 2097152; exec "$0" "$@"')
    config = valkey.config_text(7782, 1024, Path("/home/sockets/valkey.sock"))
    for line in ("maxmemory 512mb", "maxmemory-policy noeviction", "maxmemory-clients 128mb"):
        assert f"{line}\n" in config


def test_the_administrator_s_line_is_replaced_and_the_others_stay():
    line = valkey.default_user(Secret("password"))
    assert "password" not in line
    users = "user default on nopass ~* &* +@all\nuser shop_pr_1 on ~* +@all\n"
    assert valkey.with_default_user(users, line) == f"{line}\nuser shop_pr_1 on ~* +@all\n"


def test_a_port_is_kept(tmp_path: Path):
    chosen = Ports(tmp_path / "ports.json").choose("postgres", 0)
    assert Ports(tmp_path / "ports.json").choose("postgres", 0) == chosen


def test_the_wanted_port_is_taken_if_it_is_free(tmp_path: Path):
    wanted = free_port()
    ports = Ports(tmp_path / "ports.json")
    assert ports.choose("postgres", wanted) == wanted
    with socket.create_server(("127.0.0.1", wanted)):
        assert ports.choose("postgres", wanted) == wanted, "it may be our own that listens"
        assert ports.choose("valkey", wanted) != wanted
        with pytest.raises(ServerError, match=str(wanted)):
            ports.choose("edge", wanted, exact=True)


def test_another_wish_is_another_port(tmp_path: Path):
    ports = Ports(tmp_path / "ports.json")
    ports.choose("postgres", 0)
    wanted = free_port()
    assert not ports.moved
    assert ports.choose("postgres", wanted) == wanted
    assert ports.moved, "previews that run know the other one"


def test_who_listens_is_named_as_far_as_we_may_see():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        named = f"process {os.getpid()} ("
        expected = named if sys.platform == "linux" else "another program"
        assert holder(port).startswith(expected)
    assert holder(port) == "another program"


def test_a_damaged_file_of_ports_is_made_anew(tmp_path: Path):
    (tmp_path / "ports.json").write_text("{")
    assert Ports(tmp_path / "ports.json").choose("postgres", 0)


def test_one_server_a_home(home: Home):
    first, second = HomeLock(home), HomeLock(home)
    first.acquire()
    home.server_file.write_text(json.dumps({"url": "http://127.0.0.1:7780", "pid": _pid(home)}))
    with pytest.raises(ServerError, match=rf"pid {_pid(home)}, http://127.0.0.1:7780\)"):
        second.acquire()
    first.release()
    with second:
        pass


def test_a_stale_server_file_is_not_believed(home: Home):
    home.server_file.write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": 1}))
    with HomeLock(home), pytest.raises(ServerError) as raised:
        HomeLock(home).acquire()
    assert "http://" not in str(raised.value)


def _pid(home: Home) -> int:
    return int(home.lock.read_text())


def test_a_log_is_bounded_while_it_is_written(tmp_path: Path):
    log = tmp_path / "service.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old " * 100)
        bound(log, 100)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "service.log.1").read_bytes() == b"old " * 25
    bound(tmp_path / "nothing.log", 100)
