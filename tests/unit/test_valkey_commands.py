"""The ACL commands of preview caches, word by word."""

from previewdrop.domain.secret import Secret
from previewdrop.domain.spec import CacheSpec
from previewdrop.drivers.valkey import commands
from previewdrop.drivers.valkey.commands import User

SPEC = CacheSpec("shop_pr_42", Secret("password"), 3)


def test_set_user():
    assert commands.set_user(SPEC, "a1b2") == (
        "ACL", "SETUSER", "shop_pr_42", "reset", "on",
        "#5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8",
        "~*", "resetchannels", "&shop_pr_42:*", "&previewdrop.a1b2:shop_pr_42:*", "db=3",
        "+@all", "-@admin", "-@dangerous", "+flushdb", "+keys", "+sort", "+sort_ro", "+info",
        "-function", "-script|flush", "-script|kill", "-client|tracking", "-pubsub|channels",
        "-pubsub|shardchannels", "-memory|purge",
    )  # fmt: skip


def test_no_password_is_sent():
    assert "password" not in " ".join(commands.set_user(SPEC, "a1b2"))


def test_empty_fails_as_a_whole():
    name, script, keys, number = commands.empty(3)
    assert (name, keys, number) == ("EVAL", "0", "3")
    assert script == "redis.call('SELECT', ARGV[1]) return redis.call('FLUSHDB', 'ASYNC')"


def test_a_user_is_read_from_either_answer():
    line = " ".join(("user", *commands.set_user(SPEC, "a1b2")[2:]))
    assert commands.parse_user(line) == User("shop_pr_42", "a1b2", 3)
    answer = ["channels", "&shop_pr_42:* &previewdrop.a1b2:shop_pr_42:*", "databases", "db=3"]
    assert commands.parse_get_user("shop_pr_42", answer) == User("shop_pr_42", "a1b2", 3)


def test_somebody_else_s_user_has_no_installation():
    assert commands.parse_user("user default on nopass ~* &* +@all") == User("default", None, None)
    stranger = "user b on ~* &previewdrop.a1b2:a:* db=3,4 +@all"
    assert commands.parse_user(stranger) == User("b", None, None)
