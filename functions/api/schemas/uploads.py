"""Forms to upload a file with."""

from datetime import datetime

from pydantic import Field

from api.schemas.fields import Schema
from jobyard.services.upload_form import UploadForm


class Upload(Schema):
    """Where and how to upload the file."""

    url: str = Field(description="Send a multipart/form-data form here with POST.")
    fields: dict[str, str] = Field(
        description="The fields of the form. Send all of them, before the field `file` with "
        "the file."
    )
    expires_at: datetime = Field(description="The upload must start before this time.")

    @classmethod
    def of(cls, form: UploadForm) -> "Upload":
        """The form of a service."""
        return cls(url=form.url, fields=dict(form.fields), expires_at=form.expires_at)
