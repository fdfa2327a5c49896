"""What git's errors become."""

import pytest

from previewdrop.domain.errors import BadSource, NoAccess, PreviewDropError, Unavailable
from previewdrop.source.refusals import (
    is_no_single_commit,
    is_unknown_commit,
    is_unknown_ref,
    refusal,
)


@pytest.mark.parametrize(
    ("errors", "kind", "message"),
    [
        ("fatal: Authentication failed for 'https://x/'", NoAccess, "refused the login"),
        (
            "fatal: could not read Username for 'https://x': terminal prompts disabled",
            NoAccess,
            "refused the login",
        ),
        ("git@x: Permission denied (publickey).", NoAccess, "refused the login"),
        ("Host key verification failed.", BadSource, "host key"),
        ("remote: Repository not found.", NoAccess, "no repository"),
        ("fatal: repository 'https://x/y/' not found", NoAccess, "no repository"),
        ("fatal: remote error: access denied or repository not exported: /x", NoAccess, "no repo"),
        ("fatal: transport 'ext' not allowed", BadSource, "transport"),
        ("error: index-pack died of signal 25", BadSource, "more than a commit"),
        ("fatal: write error: No space left on device", Unavailable, "disk is full"),
        (
            "fatal: unable to access 'https://x/': Could not resolve host: x",
            Unavailable,
            "Could not resolve host",
        ),
        ("error: sha1 file 'x' write error. Out of diskspace", Unavailable, "disk is full"),
        ("fatal: unable to connect to x:\nx: errno=Connection refused", Unavailable, "connect"),
        ("error: RPC failed; HTTP 503\nfatal: early EOF", Unavailable, "RPC failed"),
        ("", Unavailable, "git gave no reason"),
    ],
)
def test_refusals(errors: str, kind: type[PreviewDropError], message: str):
    error = refusal(errors, "https://x/y")
    assert type(error) is kind
    assert message in error.message


def test_what_a_server_will_not_hand_out():
    assert is_unknown_commit("fatal: remote error: upload-pack: not our ref 1234")
    assert not is_unknown_commit("fatal: early EOF")
    assert is_no_single_commit("error: Server does not allow request for unadvertised object 12")
    assert is_no_single_commit("fatal: dumb http transport does not support shallow capabilities")
    assert not is_no_single_commit("fatal: early EOF")
    assert is_unknown_ref("fatal: couldn't find remote ref refs/heads/x")
    assert not is_unknown_ref("fatal: early EOF")
