"""Over a URL commands print and exit as over the file, and say plainly what is wrong."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from lb.cli import cli
from lb.cli.reach import by_url
from lb.cli.reach.by_url import UrlOperator
from lb.errors import ConfigError, OperationError, ReachError, StateFileError
from lb.model import Wish
from tests.cli.conftest import HANGS_S, Scene, admin_of
from tests.cli.strangers import stranger
from tests.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

READING = [
    ("status",),
    ("status", "web2", "127.0.0.1:1"),
    ("recent",),
    ("recent", "--slow", "--failed", "--backend", "web1", "--limit", "3"),
    ("explain", "lost"),
    ("explain", "nobody\x1b/?#%"),
    ("events",),
    ("events", "--backend", "web1", "--limit", "2"),
]

NOTHING = json.dumps(
    {"state_path": "", "checker_pid": None, "workers": [], "sets": [],
     "backends": [], "removed": []}
)  # fmt: skip
"""The status of a balancer without backends."""


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Scene]:
    """A scene that can be asked both ways."""
    made = Scene(tmp_path / "state")
    with admin_of(made.path) as made.url:
        yield made
    made.close()


def lb(*arguments: str, **env: str) -> Result:
    return CliRunner(env=env).invoke(cli, arguments, catch_exceptions=False)


@pytest.mark.parametrize("arguments", READING, ids=" ".join)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_is_read_is_told_alike(
    both: Scene, arguments: tuple[str, ...], form: str
) -> None:
    both.request("web1", request_id=b"lost\xff", label="connection_refused")
    both.request("web2", request_id=b"lost", took_s=2.0, target=b"/\x1b")
    both.by_file("drain", "web1")
    both.by_file("weight", "web2", "7")
    both.by_file("remove", "web1")
    both.by_file("add", "web1")
    more = ("--json",) if form == "json" else ()
    here, there = both.by_file(*arguments, *more), both.by_url(*arguments, *more)
    if form == "json":
        assert _still(json.loads(there.stdout)) == _still(json.loads(here.stdout))
    else:
        assert _still(there.stdout) == _still(here.stdout)
    assert there.stderr == here.stderr
    assert there.exit_code == here.exit_code


def _still(told: object) -> object:
    """The same without what changes from one moment to the next."""
    if isinstance(told, dict):
        return {k: _still(v) for k, v in told.items() if k != "heartbeat_age_s"}
    if isinstance(told, list):
        return [_still(each) for each in told]
    return told


def test_unknown_names_are_told_alike(both: Scene) -> None:
    for arguments in (
        ("status", "wbe1", "nobody"),
        ("drain", "wbe1", "web2", "nobody"),
    ):
        said = set()
        for way in (both.by_file, both.by_url):
            with pytest.raises(OperationError) as caught:
                way(*arguments)
            said.add(str(caught.value))
        assert len(said) == 1
        assert "'wbe1'; did you mean" in said.pop()
    assert {row.wish.name for row in both.process.rows()} == {"READY"}


def test_several_backends_are_added_or_none(both: Scene) -> None:
    generation = both.process.generation()
    for way in (both.by_file, both.by_url):
        with pytest.raises(OperationError, match="a backend called web2 already"):
            way("add", "web3=127.0.0.1:3", "web2=127.0.0.1:4")
    assert both.process.generation() == generation
    both.by_url("add", "web3=127.0.0.1:3", "web4=127.0.0.1:4", "--weight", "3")
    weights = {row.backend.name: row.backend.weight for row in both.process.rows()}
    assert weights == {"web1": 1, "web2": 1, "web3": 3, "web4": 3}


def test_a_wait_outlives_an_admin_process_that_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, port = Scene(tmp_path / "state"), free_port()
    with closing(scene), closing(UrlOperator(f"http://127.0.0.1:{port}")) as operator:
        with admin_of(scene.path, port=port):
            made = operator.set_wish(["web1"], Wish.DRAIN, wait_s=60)
        late = threading.Event()

        def start_again() -> None:
            with admin_of(scene.path, port=port):
                late.wait(HANGS_S)

        starting = threading.Thread(target=start_again)
        starting.start()
        try:
            assert made.standing().behind == 1
            scene.slot.see(scene.process.generation())
            assert made.standing().is_done
        finally:
            late.set()
            starting.join()
        monkeypatch.setattr(by_url, "PATIENCE_S", 0.0)
        with pytest.raises(ReachError, match="refused"):
            made.standing()


def test_events_tell_who_asked(both: Scene) -> None:
    both.by_file("drain", "web1")
    both.by_url("ready", "web1")
    here, there = json.loads(both.by_url("events", "--json").stdout)[-2:]
    assert here["who"].endswith(", by command")
    assert there["who"] == "api, from 127.0.0.1"


class TestTheToken:
    TOKEN = "let-me-in"

    @pytest.fixture
    def guarded(self, tmp_path: Path) -> Iterator[Scene]:
        made = Scene(tmp_path / "state")
        with admin_of(made.path, LB_ADMIN__TOKEN=self.TOKEN) as made.url:
            yield made
        made.close()

    def test_it_comes_by_the_environment(self, guarded: Scene) -> None:
        done = lb("drain", "web1", "--url", guarded.url, LB_ADMIN__TOKEN=self.TOKEN)
        assert done.exit_code == 0

    def test_it_comes_by_a_file(self, guarded: Scene, tmp_path: Path) -> None:
        (tmp_path / "token").write_text(f"{self.TOKEN}\n")
        path = str(tmp_path / "token")
        done = lb(
            "drain", "web1", "--url", guarded.url, "--token-file", path,
            LB_ADMIN__TOKEN="not-this",
        )  # fmt: skip
        assert done.exit_code == 0

    def test_it_comes_by_standard_input(self, guarded: Scene) -> None:
        given = ["drain", "web1", "--url", guarded.url, "--token-file", "-"]
        done = CliRunner().invoke(cli, given, input=f"{self.TOKEN}\n")
        assert done.exit_code == 0

    def test_without_it_a_change_is_refused(self, guarded: Scene) -> None:
        assert lb("status", "--url", guarded.url).exit_code == 0
        with pytest.raises(ReachError, match="give it by LB_ADMIN__TOKEN") as caught:
            lb("drain", "web1", "--url", guarded.url)
        assert guarded.url in str(caught.value)
        with pytest.raises(ReachError, match="a change needs the token"):
            lb("drain", "web1", "--url", guarded.url, LB_ADMIN__TOKEN="wrong")

    def test_what_is_no_token_is_not_repeated(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("two words")
        for arguments, env in (
            (("--token-file", str(tmp_path / "token")), {}),
            ((), {"LB_ADMIN__TOKEN": "two words"}),
        ):
            with pytest.raises(ConfigError, match="no token") as caught:
                lb("status", "--url", "http://127.0.0.1:1", *arguments, **env)
            assert "two words" not in str(caught.value)

    def test_that_of_a_settings_file_goes_nowhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is the token of the balancer here; nor is ~/.netrc looked into."""
        (tmp_path / "lb.toml").write_text(f'[admin]\ntoken = "{self.TOKEN}"\n')
        (tmp_path / ".netrc").write_text("default login a password b\n")
        monkeypatch.chdir(tmp_path)
        with stranger(NOTHING) as server:
            lb(
                "status",
                "--url",
                server.url,
                HOME=str(tmp_path),
                LB_X="no such setting",
            )
            ((_, head),) = server.asked
        assert "authorization" not in head

    def test_it_does_not_follow_a_redirect(self) -> None:
        with stranger("{}") as other:
            away = f"Location: {other.url}/"
            with (
                stranger("{}", away, status=302) as server,
                pytest.raises(ReachError, match="not as an admin process"),
            ):
                lb("drain", "a", "--url", server.url, LB_ADMIN__TOKEN=self.TOKEN)
            assert other.asked == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:9900", "no URL such as http://"),
        ("ftp://localhost", "no URL such as http://"),
        ("http://", "no URL such as http://"),
        ("http://a:99999", "no URL such as http://"),
        ("http://[::1", "no URL such as http://"),
        ("http://me:secret@localhost:9900", "seen by all"),
    ],
)
def test_what_is_no_url_is_told(url: str, said: str) -> None:
    with pytest.raises(ReachError, match=said) as caught:
        lb("status", "--url", url)
    assert "secret" not in str(caught.value)


def test_nobody_listening_is_told() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ReachError) as caught:
        lb("status", "--url", url)
    assert str(caught.value) == f"cannot ask {url}: Connection refused"


@pytest.mark.parametrize(
    ("body", "more", "said"),
    [
        ("<html>", {"kind": "text/html"}, "not as an admin process of Evenhand: 200 OK"),
        ("no", {"status": 502, "kind": "text/html"}, "502 Bad Gateway, text/html"),
        ("[1]", {}, "not as an admin process"),
        ("{", {}, "not as an admin process"),
        ('{"hello": 1}', {}, "does not tell 'backends': is it of another version"),
    ],
)  # fmt: skip
def test_strangers_are_told(body: str, more: dict[str, object], said: str) -> None:
    with stranger(body, **more) as server, pytest.raises(ReachError) as caught:  # type: ignore[arg-type]
        lb("status", "--url", server.url)
    assert said in str(caught.value)
    assert server.url in str(caught.value)


def test_an_admin_process_without_a_balancer_is_told(tmp_path: Path) -> None:
    with (
        admin_of(tmp_path / "none") as url,
        pytest.raises(StateFileError, match="does the balancer run"),
    ):
        lb("status", "--url", url)


def test_a_refusal_is_told_in_its_own_words() -> None:
    told = '{"title": "x", "status": 421, "detail": "add it to admin.hosts"}'
    problem = "application/problem+json"
    with stranger(told, status=421, kind=problem) as server:
        with pytest.raises(ReachError) as caught:
            lb("status", "--url", server.url)
        assert str(caught.value) == f"{server.url} refuses: add it to admin.hosts"


def test_a_path_in_the_url_is_kept(both: Scene) -> None:
    """Something in front may have the admin process under a path of its own."""
    with stranger(NOTHING) as server:
        lb("status", "--url", f"{server.url}/lb1/")
    assert [asked for asked, _ in server.asked] == ["GET /lb1/api/v1/status"]


def test_tls_is_checked_and_can_be_trusted(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-keyout", str(key),
         "-out", str(certificate), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with stranger(NOTHING, tls=context) as server:
        url = server.url.replace("http:", "https:")
        with pytest.raises(ReachError, match=r"(?i)certificate.verify.failed"):
            lb("status", "--url", url)
        done = lb("status", "--url", url, REQUESTS_CA_BUNDLE=str(certificate))
    assert done.exit_code == 1


def test_main_says_it_and_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    from lb.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["lb", "status", "--url", "nowhere"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("evenhand: 'nowhere' is no URL")
