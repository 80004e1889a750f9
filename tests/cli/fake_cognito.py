"""A fake user pool. All users have the password `secret`."""

from typing import Any

from botocore.exceptions import ClientError

from tests.cli.fake_api import token


class FakeCognito:
    """Users with the password `secret`, and sessions that a test may expire."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.challenges: list[str] = []
        self.given: dict[str, str] = {}
        self.is_over = False

    def initiate_auth(
        self, *, ClientId: str, AuthFlow: str, AuthParameters: dict[str, str]
    ) -> dict[str, Any]:
        self.calls.append(AuthFlow)
        if AuthFlow == "REFRESH_TOKEN_AUTH":
            if self.is_over:
                raise refused("Refresh Token has expired")
            return {"AuthenticationResult": {"AccessToken": token("someone", "operator")}}
        name = AuthParameters["USERNAME"]
        if AuthParameters["PASSWORD"] != "secret":
            raise refused("Incorrect username or password.")
        return self._next(name)

    def respond_to_auth_challenge(
        self, *, ClientId: str, ChallengeName: str, Session: str, ChallengeResponses: dict[str, str]
    ) -> dict[str, Any]:
        self.given |= ChallengeResponses
        return self._next(ChallengeResponses["USERNAME"])

    def revoke_token(self, *, Token: str, ClientId: str) -> None:
        self.calls.append("revoked")

    def associate_software_token(self, *, AccessToken: str) -> dict[str, Any]:
        return {"SecretCode": "JBSWY3DPEHPK3PXP"}

    def verify_software_token(self, *, AccessToken: str, UserCode: str) -> dict[str, Any]:
        if UserCode != "123456":
            raise refused("Code mismatch")
        return {"Status": "SUCCESS"}

    def set_user_mfa_preference(
        self, *, AccessToken: str, SoftwareTokenMfaSettings: dict[str, bool]
    ) -> None:
        self.calls.append(f"mfa {SoftwareTokenMfaSettings['PreferredMfa']}")

    def _next(self, name: str) -> dict[str, Any]:
        if self.challenges:
            return {"ChallengeName": self.challenges.pop(0), "Session": "one"}
        role = name if name in ("admin", "operator", "depositor") else "viewer"
        return {"AuthenticationResult": {"AccessToken": token(name, role), "RefreshToken": "again"}}


def refused(words: str) -> ClientError:
    """An error of Cognito."""
    error = {"Error": {"Code": "NotAuthorizedException", "Message": words}}
    return ClientError(error, "InitiateAuth")
