"""Messages in the dead-letter queue, as EventBridge and Lambda put them there."""

import json
from typing import Any

import boto3

from jobyard.services.settings import Settings


def manifest_event(bucket: str = "intake", key: str = "manifests/maps/may.checkm") -> Any:
    """S3's event about a new object."""
    return {
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "bucket": {"name": bucket},
            "object": {"key": key, "size": 12, "version-id": "v1"},
        },
    }


def mail_event(batch_id: str = "b1", seq: int = 1) -> Any:
    """SES's event about the bounce of a report's mail; of another mail without a batch."""
    tags = {"batch_id": [batch_id], "seq": [str(seq)]} if batch_id else {}
    bounced = {"emailAddress": "a@example.org", "diagnosticCode": "550 no such mailbox"}
    return {
        "source": "aws.ses",
        "detail-type": "Email Bounced",
        "detail": {
            "eventType": "Bounce",
            "mail": {"messageId": "0100-mail", "tags": tags},
            "bounce": {"bouncedRecipients": [bounced]},
        },
    }


def execution_event() -> Any:
    """Step Functions' event about a failed execution."""
    arn = "arn:aws:states:us-east-1:123456789012:execution:jobyard-batch:b1-main"
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"status": "TIMED_OUT", "executionArn": arn},
    }


def failed_invocation(event: Any) -> Any:
    """What Lambda sends when a function failed with `event`."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:Delivery:$LATEST"
    return {
        "version": "1.0",
        "requestContext": {"functionArn": arn, "condition": "RetriesExhausted"},
        "requestPayload": event,
        "responsePayload": {"errorMessage": "the table does not answer"},
    }


def put_letter(settings: Settings, document: Any, **attributes: str) -> str:
    """Put a letter into the queue, as EventBridge does. Returns its id."""
    given = {"ERROR_CODE": "NO_PERMISSIONS", "TARGET_ARN": settings.batch_machine} | attributes
    body = document if isinstance(document, str) else json.dumps(document)
    sent = boto3.client("sqs").send_message(
        QueueUrl=settings.dead_letters,
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": text} for name, text in given.items()
        },
    )
    return str(sent["MessageId"])
