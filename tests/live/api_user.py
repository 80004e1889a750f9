"""A person who uses the deployed API and reads the mails."""

import time
from dataclasses import dataclass
from typing import Any

import httpx

from cli.local import mail

TIMEOUT_S = 120


@dataclass
class ApiUser:
    """A person who uses the API and reads the mails."""

    api: httpx.Client
    endpoint: str

    def submit(self, manifest: str, **fields: Any) -> str:
        """Submit a manifest as a depositor does. Returns the batch's id."""
        answer = self.api.post(
            "/api/batches", json={"collection": "maps", "filename": "may.checkm"} | fields
        )
        assert answer.status_code == 201, answer.text
        document = answer.json()
        _send(document["upload"], manifest)
        return str(document["batch_id"])

    def upload_targets(self, text: str) -> str:
        """Upload a file of targets. Returns what to start a campaign with."""
        document = self.post("/api/campaigns/targets", filename="gateways.csv")
        _send(document["upload"], text)
        return str(document["targets_file"])

    def get(self, path: str) -> Any:
        """The API's answer."""
        answer = self.api.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **body: Any) -> Any:
        """The API's answer to a request that changes something."""
        answer = self.api.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def await_state(self, path: str, *states: str) -> Any:
        """Wait until the record at `path` is in one of `states`, and return it."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            found = self.get(path)
            if found["state"] in states:
                return found
            assert time.monotonic() < deadline, (
                f"{path} is still {found['state']}: {found['waiting_reason']}"
            )
            time.sleep(0.1)

    def mails_of(self, batch_id: str) -> list[mail.Mail]:
        """The mails that were sent about a batch."""
        return [each for each in mail.sent(self.endpoint) if batch_id in each.subject]


def _send(upload: Any, text: str) -> None:
    """Send an upload form."""
    files = {"file": ("file", text.encode())}
    sent = httpx.post(upload["url"], data=upload["fields"], files=files, trust_env=False)
    assert sent.is_success, sent.text
