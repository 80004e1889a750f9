import json
import stat
from dataclasses import replace

import pytest

from cli import session
from cli.connections import StackConnection
from cli.context import CliContext
from cli.session import SessionTokens, SignInFailed, SignInRequired
from tests.cli.fake_api import FakeApi, Run, problem, token
from tests.cli.fake_cognito import FakeCognito


def test_the_local_stack_signs_in_admin_by_default(local: StackConnection) -> None:
    opened = session.open_session(local)

    assert opened.username == "admin"
    assert opened.roles == ["admin"]


def test_a_session_file_is_readable_only_by_its_owner(
    local: StackConnection, cognito: FakeCognito
) -> None:
    first = session.open_session(local)
    again = session.open_session(local)

    assert again == first
    assert cognito.calls == ["USER_PASSWORD_AUTH"]
    assert stat.S_IMODE(local.session_file.stat().st_mode) == 0o600


def test_a_session_file_of_another_version_is_ignored(local: StackConnection) -> None:
    local.session_file.write_text('{"token": "of old"}')

    assert session.open_session(local).username == "admin"


def test_a_stack_on_aws_requires_a_sign_in(on_aws: StackConnection) -> None:
    with pytest.raises(SignInRequired, match="`jobyard login --stack prod`"):
        session.open_session(on_aws)


def test_a_token_that_expires_soon_is_renewed_first(
    local: StackConnection, cognito: FakeCognito
) -> None:
    ended = replace(session.open_session(local), access_token=token("admin", "admin", expires=1))

    bearer = SessionTokens(local, ended)

    assert bearer.token() == token("someone", "operator")
    assert cognito.calls[-1] == "REFRESH_TOKEN_AUTH"
    assert session.open_session(local).access_token == bearer.token()


def test_an_expired_session_asks_for_a_new_sign_in(
    on_aws: StackConnection, cognito: FakeCognito
) -> None:
    opened = session.sign_in(on_aws, "someone", "secret")
    cognito.is_over = True

    with pytest.raises(SignInRequired, match=r"has expired: run `jobyard login --stack prod`"):
        SessionTokens(on_aws, opened).renew()


def test_after_a_reset_demo_users_are_signed_in_automatically(
    local: StackConnection, cognito: FakeCognito
) -> None:
    opened = session.open_session(local)
    cognito.is_over = True

    assert SessionTokens(local, opened).renew() == token("admin", "admin")


def test_a_local_stack_on_another_port_needs_a_new_sign_in(
    local: StackConnection, cognito: FakeCognito
) -> None:
    session.sign_in(local, "operator", "secret")

    session.open_session(replace(local, url_prefix="http://127.0.0.1:1"))

    assert cognito.calls == ["USER_PASSWORD_AUTH", "USER_PASSWORD_AUTH"]
    assert json.loads(local.session_file.read_text())["username"] == "operator"


def test_a_first_password_is_changed_on_the_way_in(
    on_aws: StackConnection, cognito: FakeCognito
) -> None:
    cognito.challenges = ["NEW_PASSWORD_REQUIRED", "SOFTWARE_TOKEN_MFA"]
    answers = {"NEW_PASSWORD_REQUIRED": "better", "SOFTWARE_TOKEN_MFA": "123456"}

    opened = session.sign_in(on_aws, "someone", "secret", answers.__getitem__)

    assert opened.username == "someone"
    assert cognito.given["NEW_PASSWORD"] == "better"
    assert cognito.given["SOFTWARE_TOKEN_MFA_CODE"] == "123456"


def test_a_wrong_password_shows_cognitos_message(on_aws: StackConnection) -> None:
    with pytest.raises(SignInFailed, match="Incorrect username or password"):
        session.sign_in(on_aws, "someone", "wrong")


def test_an_authenticator_app_is_set_up(run: Run, cognito: FakeCognito) -> None:
    wrong = run("set-up-mfa", typed="000000\n")
    done = run("set-up-mfa", typed="123456\n")

    assert (wrong.exit_code, "Code mismatch" in wrong.stderr) == (1, True)
    assert "JBSWY3DPEHPK3PXP" in done.stdout
    assert cognito.calls.count("mfa True") == 1


def test_whoami_shows_the_role_of_login(run: Run) -> None:
    login = run("login", "--as", "operator", "--json")
    whoami = run("whoami", "--json")

    assert json.loads(login.stdout) == json.loads(whoami.stdout)
    assert json.loads(whoami.stdout)["roles"] == ["operator"]


def test_a_token_is_printed_for_other_programs(run: Run) -> None:
    assert run("token").stdout == f"{token('admin', 'admin')}\n"


def test_logout_restores_the_default_user(run: Run, cognito: FakeCognito) -> None:
    run("login", "--as", "operator")

    assert run("logout").stdout == "signed out\n"
    assert run("logout").stdout == "you were not signed in\n"
    assert "revoked" in cognito.calls
    assert json.loads(run("whoami", "--json").stdout)["username"] == "admin"


def test_a_password_may_come_from_a_pipe(run: Run) -> None:
    signed_in = run("login", "--stack", "prod", "--username", "someone", typed="secret\n")

    assert signed_in.exit_code == 0
    assert "someone" in signed_in.stdout
    assert "secret" not in signed_in.output


def test_a_refused_login_exits_with_1(run: Run) -> None:
    signed_in = run("login", "--stack", "prod", "--username", "someone", typed="wrong\n")

    assert signed_in.exit_code == 1
    assert "Incorrect username or password" in signed_in.stderr


@pytest.mark.parametrize(
    "words", [("--as", "nobody"), ("--as", "admin", "--username", "admin"), ("--as", "planner")]
)
def test_contradictory_login_options_are_a_usage_error(words: tuple[str, ...], run: Run) -> None:
    assert run("login", *words).exit_code == 2


def test_demo_users_exist_only_on_the_local_stack(run: Run) -> None:
    signed_in = run("login", "--stack", "prod", "--as", "admin")

    assert signed_in.exit_code == 2
    assert "has no demo users" in signed_in.stderr


def test_an_expired_token_is_renewed_during_a_command(
    run: Run, api: FakeApi, cognito: FakeCognito, cli_context: CliContext
) -> None:
    api.answers("GET /holds", problem(401, "Unauthorized"), {"items": [], "next_cursor": None})

    shown = run("holds", "--json")

    assert shown.exit_code == 0
    assert cognito.calls == ["USER_PASSWORD_AUTH", "REFRESH_TOKEN_AUTH"]
    assert shown.stderr == ""


def test_an_authenticator_is_set_up_on_the_pages(
    on_aws: StackConnection, cognito: FakeCognito
) -> None:
    cognito.challenges = ["MFA_SETUP"]

    with pytest.raises(SignInFailed, match="sign in to its pages once"):
        session.sign_in(on_aws, "someone", "secret")
