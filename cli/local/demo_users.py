"""The demo users of the local stack, with a well-known password: one for each role, and a second
worker, since two people may change the same features.
"""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from jobyard.domain.access import ROLES

PASSWORD = "Jobyard-demo-1"


@dataclass(frozen=True)
class DemoUser:
    username: str
    password: str
    role: str
    email: str


DEMO_USERS = tuple(
    DemoUser(name, PASSWORD, role, f"{name}@example.org")
    for name, role in (*((role, role) for role in ROLES), ("worker-2", "worker"))
)


def ensure(cognito: Any, user_pool: str) -> tuple[DemoUser, ...]:
    """Create missing demo users, and reset the passwords of all."""
    for user in DEMO_USERS:
        try:
            cognito.admin_create_user(
                UserPoolId=user_pool,
                Username=user.username,
                MessageAction="SUPPRESS",
                UserAttributes=[
                    {"Name": "email", "Value": user.email},
                    {"Name": "email_verified", "Value": "true"},
                ],
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "UsernameExistsException":
                raise
        cognito.admin_set_user_password(
            UserPoolId=user_pool, Username=user.username, Password=user.password, Permanent=True
        )
        cognito.admin_add_user_to_group(
            UserPoolId=user_pool, Username=user.username, GroupName=user.role
        )
    return DEMO_USERS


def sign_in(cognito: Any, client_id: str, user: DemoUser) -> str:
    """An access token for `user`."""
    response = cognito.initiate_auth(
        ClientId=client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": user.username, "PASSWORD": user.password},
    )
    return str(response["AuthenticationResult"]["AccessToken"])
