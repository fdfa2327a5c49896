"""The environment of a preview: precedence, references, rewriting, refusals."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from previewdrop.domain.env import LONGEST_VALUE, Environment, resolve
from previewdrop.domain.errors import BadName, BadTemplate
from previewdrop.domain.secret import Redactor, Secret
from previewdrop.domain.urls import CacheAccess, DatabaseAccess
from previewdrop.domain.variables import (
    Layer,
    OwnVariables,
    branch_layers,
    check_variable,
    pool_size_for,
)

PASSWORD = "database-word"
CACHE_PASSWORD = "cache-word"
OWN = OwnVariables(
    port=20017,
    url="https://pr-42.shop.localhost:7443",
    name="shop/pr-42",
    number=42,
    branch="feature/new-auth",
    commit="a1b2c3d4",
    project="shop",
    database=DatabaseAccess("127.0.0.1", 7781, "shop_pr_42", "shop_pr_42", Secret(PASSWORD)),
    cache=CacheAccess("127.0.0.1", 7782, 1, "shop_pr_42", Secret(CACHE_PASSWORD)),
    pool_size=5,
)
OURS = f"shop_pr_42:{PASSWORD}@127.0.0.1:7781/shop_pr_42"
GUIDE = """\
# .env.preview
DATABASE_URL=postgresql+asyncpg://preview:preview@db:5432/preview
REDIS_URL=redis://cache:6379/0
SECRET_KEY=preview-only-not-for-production
PREVIEW_URL=${PREVIEW_URL}
API_V1_PREFIX=/api/v1
CORS_ORIGINS=["${PREVIEW_URL}", "http://localhost:3000"]
"""


def project(secrets: frozenset[str] = frozenset(), **values: str) -> Layer:
    return Layer("project variables", values, secrets)


def env(template: str, *layers: Layer, own: OwnVariables = OWN) -> dict[str, str]:
    return resolve(template, layers, own).variables


def test_the_guides_template_comes_out_complete():
    assert env(GUIDE) == {
        "PORT": "20017",
        "PREVIEW_URL": "https://pr-42.shop.localhost:7443",
        "PREVIEW_NAME": "shop/pr-42",
        "PREVIEW_NUMBER": "42",
        "PREVIEW_BRANCH": "feature/new-auth",
        "PREVIEW_COMMIT": "a1b2c3d4",
        "PREVIEW_PROJECT": "shop",
        "ENVIRONMENT": "preview",
        "DATABASE_URL": f"postgresql+asyncpg://{OURS}",
        "PREVIEW_DATABASE_HOST": "127.0.0.1",
        "PREVIEW_DATABASE_PORT": "7781",
        "PREVIEW_DATABASE_NAME": "shop_pr_42",
        "PREVIEW_DATABASE_USER": "shop_pr_42",
        "PREVIEW_DATABASE_PASSWORD": PASSWORD,
        "DB_POOL_SIZE": "5",
        "REDIS_URL": f"redis://shop_pr_42:{CACHE_PASSWORD}@127.0.0.1:7782/1",
        "PREVIEW_REDIS_HOST": "127.0.0.1",
        "PREVIEW_REDIS_PORT": "7782",
        "PREVIEW_REDIS_DB": "1",
        "PREVIEW_REDIS_USER": "shop_pr_42",
        "PREVIEW_REDIS_PASSWORD": CACHE_PASSWORD,
        "SECRET_KEY": "preview-only-not-for-production",
        "API_V1_PREFIX": "/api/v1",
        "CORS_ORIGINS": '["https://pr-42.shop.localhost:7443", "http://localhost:3000"]',
    }


def test_the_guides_template_pasted_as_project_variables_comes_out_the_same():
    pasted = Layer("project variables", dict(line.split("=", 1) for line in GUIDE.splitlines()[1:]))
    assert resolve(None, [pasted], OWN).variables == env(GUIDE)


def test_without_a_template_the_variables_are_all_there():
    found = resolve(None, (), OWN).variables
    assert found["DATABASE_URL"] == f"postgresql://{OURS}"
    assert found["REDIS_URL"].startswith("redis://")
    assert found.keys() == env("").keys()


def test_a_branch_has_no_number():
    assert env("N=${PREVIEW_NUMBER:-none}", own=replace(OWN, number=None))["N"] == "none"
    assert env("", own=replace(OWN, number=None))["PREVIEW_NUMBER"] == ""


class TestPrecedence:
    def test_higher_layers_win(self):
        layers = [
            Layer("project variables", {"B": "project", "C": "project", "D": "project"}),
            Layer("overrides of feature/*", {"C": "branch", "D": "branch"}),
            Layer("overrides of this preview", {"D": "preview"}),
        ]
        found = env("A=file\nB=file\nC=file\nD=file", *layers)
        assert [found[name] for name in "ABCD"] == ["file", "project", "branch", "preview"]

    def test_own_variables_win_over_all_and_say_so(self):
        result = resolve("ENVIRONMENT=staging\nDB_POOL_SIZE=50", [project(ENVIRONMENT="x")], OWN)
        assert result.variables["ENVIRONMENT"] == "preview"
        assert result.variables["DB_POOL_SIZE"] == "5"
        assert "ENVIRONMENT: preview, in place of ENVIRONMENT in the project variables" in (
            result.notes
        )
        assert "DB_POOL_SIZE: 5, in place of .env.preview, line 2" in result.notes

    def test_the_most_specific_branch_pattern_wins(self):
        overrides = {
            "**": Layer("all", {"A": "all", "B": "all", "C": "all"}),
            "feature/new-auth": Layer("one", {"C": "one"}),
            "feature/*": Layer("some", {"B": "some", "C": "some"}),
            "main": Layer("main", {"A": "main"}),
        }
        layers = branch_layers(overrides, "feature/new-auth")
        assert [layer.name for layer in layers] == ["all", "some", "one"]
        found = env("", *layers)
        assert [found[name] for name in "ABC"] == ["all", "some", "one"]

    def test_the_last_line_of_a_name_counts(self):
        assert env("A=1\nB=${A}\nA=${A}2")["A"] == "12"
        assert env("A=1\nB=${A}\nA=${A}2")["B"] == "1"


class TestReferences:
    def test_to_own_project_and_earlier_names(self):
        found = env(
            "HOST=api\nURL=${PREVIEW_URL}/${HOST}/${KEY}/${NOT_THERE:-none}", project(KEY="k")
        )
        assert found["URL"] == "https://pr-42.shop.localhost:7443/api/k/none"

    def test_an_override_counts_where_the_name_is_used(self):
        assert env("HOST=a\nURL=http://${HOST}", project(HOST="b"))["URL"] == "http://b"

    def test_a_default_counts_for_unset_and_empty(self):
        found = env("E=\nA=${E:-x}\nB=${U:-${V:-y}}\nC=${U:-}")
        assert (found["A"], found["B"], found["C"]) == ("x", "y", "")

    def test_dollars(self):
        found = env("A=$$5\nB=$PORT\nC='${PORT} $$'\nD=\"$${PORT}\"")
        assert [found[name] for name in "ABCD"] == ["$5", "$PORT", "${PORT} $$", "${PORT}"]

    def test_nothing_comes_from_the_servers_environment(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("FROM_THE_SERVER", "leak")
        with pytest.raises(BadTemplate):
            env("A=${FROM_THE_SERVER}")
        assert env("A=${FROM_THE_SERVER:-no}")["A"] == "no"
        assert "HOME" not in env("")

    def test_a_line_passed_through_is_filled_by_the_project(self):
        assert env("API_KEY=${API_KEY}", project(API_KEY="k"))["API_KEY"] == "k"
        assert env("API_KEY=${API_KEY:-d}")["API_KEY"] == "d"

    def test_a_value_that_names_itself_means_what_it_overrides(self):
        found = env(
            "FLAGS=a", project(FLAGS="${FLAGS},b"), Layer("this preview", {"FLAGS": "${FLAGS},c"})
        )
        assert found["FLAGS"] == "a,b,c"

    def test_project_variables_may_refer_to_each_other_and_to_the_template(self):
        found = env("LAST=z", project(A="${B}/${LAST}", B="${PREVIEW_PROJECT}"))
        assert found["A"] == "shop/z"

    def test_secrets_are_taken_as_they_are(self):
        layer = project(frozenset({"KEY"}), KEY="pa$$ ${word", USE="<${KEY}>")
        found = env("", layer)
        assert found["KEY"] == "pa$$ ${word"
        assert found["USE"] == "<pa$$ ${word>"

    def test_an_unknown_name_is_told_with_its_line_and_the_nearest(self):
        with pytest.raises(BadTemplate) as raised:
            env("A=1\n\nB=${PREVEW_URL}")
        assert raised.value.message == ".env.preview, line 3: PREVEW_URL is not known."
        assert (raised.value.hint or "").startswith("Did you mean PREVIEW_URL?")

    def test_an_unknown_name_in_a_project_variable_is_told(self):
        with pytest.raises(BadTemplate) as raised:
            env("", project(A="${ZZZZZZ}"))
        assert raised.value.message == "A in the project variables: ZZZZZZ is not known."
        assert "${ZZZZZZ:-default}" in (raised.value.hint or "")

    def test_a_later_line_is_not_known_yet(self):
        with pytest.raises(BadTemplate) as raised:
            env("A=${B}\nC=1\nB=2")
        assert "B is set only later, on line 3" in raised.value.message

    def test_a_name_that_only_refers_to_itself_is_unknown(self):
        with pytest.raises(BadTemplate, match=r"line 1: A refers to itself"):
            env("A=${A}")

    def test_names_of_a_service_that_is_off_are_explained(self):
        with pytest.raises(BadTemplate) as raised:
            env("A=${PREVIEW_DATABASE_HOST}", own=replace(OWN, database=None))
        assert raised.value.hint == "The project's previews have no database of their own."


class TestCycles:
    def test_in_the_template(self):
        with pytest.raises(BadTemplate, match="A → B → C → A") as raised:
            env("A=${B}\nB=x${C}\nC=${A:-y}")
        assert ".env.preview, line 1" in raised.value.message

    def test_between_project_variables(self):
        with pytest.raises(BadTemplate, match="A → B → A"):
            env("", project(A="${B}", B="${A}"))

    def test_between_the_template_and_the_project(self):
        with pytest.raises(BadTemplate, match="→"):
            env("T=${P}", project(P="${T}"))

    def test_hidden_in_a_default(self):
        with pytest.raises(BadTemplate, match="A → B → A"):
            env("", project(A="${B}", B="${U:-${A}}"))

    def test_a_chain_without_end_is_refused(self):
        values = {f"V{number}": f"${{V{number + 1}}}" for number in range(2000)}
        with pytest.raises(BadTemplate, match="refer to each other"):
            env("", project(**values, V2000="x"))

    def test_a_long_chain_of_lines_is_fine(self):
        lines = ["V0=x", *(f"V{n}=${{V{n - 1}}}" for n in range(1, 2000)), "V0=${V1999}y"]
        assert env("\n".join(lines))["V0"] == "xy"

    def test_a_template_made_to_take_long_does_not(self):
        dense = "".join(
            f"V{n}=" + "".join(f"${{V{m}}}" for m in range(n + 1, 150)) + "\n" for n in range(150)
        )
        repeated = "A=1\n" * 20_000 + "B=${A}\n" * 15_000
        with pytest.raises(BadTemplate):
            env(dense)
        assert env(repeated)["B"] == "1"


class TestSizes:
    def test_a_value_that_multiplies_is_refused(self):
        lines = ["A0=" + "x" * 1000, *(f"A{n}=" + f"${{A{n - 1}}}" * 10 for n in range(1, 10))]
        with pytest.raises(BadTemplate, match=f"longer than {LONGEST_VALUE} bytes"):
            env("\n".join(lines))

    def test_many_long_values_are_refused(self):
        lines = ["A=" + "x" * 100_000, *(f"B{n}=${{A}}" for n in range(50))]
        with pytest.raises(BadTemplate, match="all variables together"):
            env("\n".join(lines))


class TestReserved:
    @pytest.mark.parametrize("value", ["${PORT}", '"${PORT}"', "${PORT:-3000}"])
    def test_a_reference_to_itself_changes_nothing(self, value: str):
        assert env(f"PORT={value}")["PORT"] == "20017"

    @pytest.mark.parametrize(
        "line",
        [
            "PORT=3000", "PREVIEW_URL=https://x", "PREVIEW_NAME=", "PREVIEW_NUMBER=1",
            "PREVIEW_BRANCH=${PREVIEW_URL}", "PREVIEW_COMMIT=x", "PREVIEW_PROJECT='${PORT}'",
            "PREVIEW_URL='${PREVIEW_URL}'", "PREVIEW_URL=${PREVIEW_URL}/x",
        ],
    )  # fmt: skip
    def test_a_value_of_ones_own_is_refused_with_its_line(self, line: str):
        with pytest.raises(BadName) as raised:
            env(f"\n{line}")
        assert ".env.preview, line 2" in raised.value.message
        assert line.partition("=")[0] in raised.value.message

    def test_the_port_has_a_setting(self):
        with pytest.raises(BadName, match=r"`port = …` in previewdrop.toml"):
            env("PORT=3000")

    def test_in_a_layer_too(self):
        with pytest.raises(BadName, match="PREVIEW_URL is set by PreviewDrop"):
            env("", project(PREVIEW_URL="https://x"))
        assert env("", project(PREVIEW_URL="${PREVIEW_URL}")) == env("")

    @pytest.mark.parametrize(
        ("name", "value"), [("A-B", "1"), ("", "1"), ("A", "\0"), ("A", "\ud800")]
    )
    def test_names_and_values_that_cannot_be(self, name: str, value: str):
        with pytest.raises(BadName):
            check_variable(name, value)

    def test_database_variables_may_be_given_but_do_not_count(self):
        assert env("PREVIEW_DATABASE_NAME=mine")["PREVIEW_DATABASE_NAME"] == "shop_pr_42"


class TestServices:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("postgresql+psycopg://a:b@db/x?application_name=y",
             f"postgresql+psycopg://{OURS}?application_name=y"),
            ("postgres://localhost/test", f"postgres://{OURS}"),
            ("postgresql://a:b@127.0.0.1:5432/x", f"postgresql://{OURS}"),
            ("redis://redis:6379/5", f"redis://shop_pr_42:{CACHE_PASSWORD}@127.0.0.1:7782/1"),
            ("postgresql://a:b@db.example.com/x", "postgresql://a:b@db.example.com/x"),
            ("redis://cache.example.com/0", "redis://cache.example.com/0"),
            ('["redis://cache:6379/0"]', '["redis://cache:6379/0"]'),
            ("amqp://localhost", "amqp://localhost"),
            ("http://localhost:3000", "http://localhost:3000"),
        ],
    )  # fmt: skip
    def test_any_value_at_a_placeholder_host_is_rewritten(self, value: str, expected: str):
        assert env(f"OTHER={value}")["OTHER"] == expected
        assert env("", project(OTHER=value))["OTHER"] == expected

    def test_a_reference_sees_the_rewritten_value(self):
        found = env(
            "DATABASE_URL=postgresql+asyncpg://db/x\nSYNC=postgres://db/y\n"
            "A=${DATABASE_URL}\nB=${SYNC}\nC=<${REDIS_URL}>"
        )
        assert found["A"] == f"postgresql+asyncpg://{OURS}"
        assert found["B"] == f"postgres://{OURS}"
        assert found["C"] == f"<redis://shop_pr_42:{CACHE_PASSWORD}@127.0.0.1:7782/1>"

    def test_a_url_put_together_from_own_variables_stays_what_it_is(self):
        built = (
            "S=postgresql+psycopg://${PREVIEW_DATABASE_USER}:${PREVIEW_DATABASE_PASSWORD}"
            "@${PREVIEW_DATABASE_HOST}:${PREVIEW_DATABASE_PORT}/${PREVIEW_DATABASE_NAME}?a=1"
        )
        assert env(built)["S"] == f"postgresql+psycopg://{OURS}?a=1"

    @pytest.mark.parametrize(
        ("line", "scheme"),
        [
            ("DATABASE_URL=${DATABASE_URL}", "postgresql"),
            (
                "DATABASE_URL=${DATABASE_URL:-postgresql+asyncpg://localhost/x}",
                "postgresql+asyncpg",
            ),
            ("DATABASE_URL=${DB_SCHEME:-postgresql+psycopg}://db/x", "postgresql+psycopg"),
        ],
    )
    def test_the_scheme_may_come_from_a_default(self, line: str, scheme: str):
        assert env(line)["DATABASE_URL"] == f"{scheme}://{OURS}"

    def test_without_a_database_of_its_own_the_projects_is_kept(self):
        url = "postgresql://u:p@localhost/x"
        found = env(f"DATABASE_URL={url}\nOTHER={url}", own=replace(OWN, database=None))
        assert (found["DATABASE_URL"], found["OTHER"]) == (url, url)
        assert "PREVIEW_DATABASE_HOST" not in found
        assert "DB_POOL_SIZE" not in found
        assert "DATABASE_URL" not in env("", own=replace(OWN, database=None))

    def test_without_a_cache_the_projects_is_kept(self):
        found = env("REDIS_URL=redis://cache/0", own=replace(OWN, cache=None))
        assert found["REDIS_URL"] == "redis://cache/0"
        assert "PREVIEW_REDIS_DB" not in found

    def test_notes_say_what_became_of_each_url(self):
        database = OWN.database
        assert database is not None
        template = (
            "DATABASE_URL=postgresql+asyncpg://u:hunter2@rds.example.com/x?sslmode=require\n"
            "REDIS_URL=rediss://cache/0\nOTHER=redis://cache/1\n"
        )
        assert set(resolve(template, (), OWN).notes) == {
            "DATABASE_URL: postgresql+asyncpg kept, now shop_pr_42, "
            "not rds.example.com, without sslmode",
            "REDIS_URL: now database 1 over redis://",
            "OTHER: redis kept, now database 1",
        }
        sqlite = resolve("DATABASE_URL=sqlite:///x.db", (), OWN).notes
        assert any('isolation = "none"' in note for note in sqlite)
        schema = replace(OWN, database=replace(database, name="shared__shop", schema="shop_pr_42"))
        assert (
            "DATABASE_URL: now schema shop_pr_42 of shared__shop" in resolve("", (), schema).notes
        )

    def test_a_schema_adds_nothing_to_the_url(self):
        database = OWN.database
        assert database is not None
        own = replace(OWN, database=replace(database, schema="shop_pr_42"))
        assert env("", own=own)["DATABASE_URL"] == f"postgresql://{OURS}"

    def test_the_pool_leaves_room_under_the_limit(self):
        assert [pool_size_for(limit) for limit in (8, 20, 3, 1)] == [5, 17, 1, 1]


class TestSecrets:
    LAYER = Layer(
        "project variables",
        {"API_KEY": "sk_live/12345678", "AUTH": "Bearer ${API_KEY}", "PLAIN": "not secret"},
        frozenset({"API_KEY"}),
    )

    def result(self) -> Environment:
        return resolve(GUIDE + "DSN=password=${PREVIEW_DATABASE_PASSWORD}\n", [self.LAYER], OWN)

    def test_what_is_or_holds_a_secret_is_known(self):
        assert self.result().secret_names == {
            "API_KEY", "AUTH", "DSN", "DATABASE_URL", "REDIS_URL",
            "PREVIEW_DATABASE_PASSWORD", "PREVIEW_REDIS_PASSWORD",
        }  # fmt: skip

    def test_nothing_secret_is_left_after_redaction(self):
        result = self.result()
        printed = Redactor(result.secrets)(
            "\n".join(result.variables.values()) + " sk_live%2F12345678"
        )
        for secret in (PASSWORD, CACHE_PASSWORD, "sk_live", "12345678"):
            assert secret not in printed
        assert "postgresql+asyncpg://shop_pr_42:•••@127.0.0.1:7781/shop_pr_42" in printed
        assert "preview-only-not-for-production" in printed
        assert "not secret" in printed

    def test_a_secret_that_is_overridden_is_still_redacted(self):
        secret = Layer("project variables", {"A": "overridden"}, frozenset({"A"}))
        result = resolve(None, [secret, Layer("this preview", {"A": "new"})], OWN)
        assert Secret("overridden") in result.secrets
        assert result.variables["A"] == "new"

    def test_neither_representation_nor_notes_show_values(self):
        result = self.result()
        shown = repr(result) + repr(self.LAYER) + repr(OWN) + " ".join(result.notes)
        for secret in (PASSWORD, CACHE_PASSWORD, "sk_live"):
            assert secret not in shown


_names = st.sampled_from(["A", "B", "C", "PORT", "PREVIEW_URL", "DATABASE_URL", "REDIS_URL"])
_values = st.lists(
    st.one_of(
        st.sampled_from(["x", "$$", "$", "redis://cache/0", "postgres://db/x?ssl=true"]),
        _names.map("${{{}}}".format),
        _names.map("${{{}:-d}}".format),
    ),
    max_size=4,
).map("".join)


@given(
    lines=st.lists(st.tuples(_names, _values), max_size=6),
    variables=st.dictionaries(_names, _values, max_size=4),
)
def test_every_environment_is_complete_or_refused(
    lines: list[tuple[str, str]], variables: dict[str, str]
):
    template = "".join(f"{name}={value}\n" for name, value in lines)
    try:
        found = env(template, Layer("project variables", variables))
    except (BadTemplate, BadName):
        return
    assert found["PORT"] == "20017"
    assert found["PREVIEW_URL"] == OWN.url
    assert found["DATABASE_URL"].startswith("postgres")
    assert OURS in found["DATABASE_URL"]
    assert {name for name, _ in lines} | variables.keys() <= found.keys()
