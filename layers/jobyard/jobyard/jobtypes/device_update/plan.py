"""The parameters of an update."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.urls import error_in

_MAX_LETTERS = 128
_MAX_MODELS = 50
_SHA256 = re.compile("[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class UpdatePlan:
    """The version to bring devices to, its image, and the models that it is for; () for any."""

    version: str
    image: str
    sha256: str
    models: tuple[str, ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "UpdatePlan":
        """The plan in the parameters of a campaign.

        Raises:
            InvalidParameters: a parameter is missing or wrong.
        """
        image, sha256 = _text(parameters, "image", None), _text(parameters, "sha256", None)
        if error := error_in(image):
            raise InvalidParameters("image", f"a URL; this one {error}")
        if not _SHA256.fullmatch(sha256):
            raise InvalidParameters("sha256", "64 hexadecimal digits")
        version = _text(parameters, "version", _MAX_LETTERS)
        return cls(version, image, sha256.lower(), _models(parameters.get("models")))


def _text(parameters: Mapping[str, Any], name: str, limit: int | None) -> str:
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidParameters(name, "missing, or not a text")
    if limit is not None and len(value) > limit:
        raise InvalidParameters(name, f"at most {limit} characters")
    return value


def _models(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    allowed = f"a list of 1 to {_MAX_MODELS} names of models"
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_MODELS:
        raise InvalidParameters("models", allowed)
    if not all(isinstance(each, str) and 0 < len(each) <= _MAX_LETTERS for each in value):
        raise InvalidParameters("models", allowed)
    return tuple(value)
