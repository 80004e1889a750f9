"""The system: alarms, dead letters, lost mails, quotas, retention, version; and what repairs it."""

from dataclasses import replace
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.batches.report import Report
from jobyard.domain.dead_letter import DeadLetter, LetterKind
from jobyard.domain.errors import JobyardError
from jobyard.services import dead_letters
from jobyard.services.dead_letters import list_dead_letters
from jobyard.services.queries.system import list_alarms, system_state
from web.event_buttons import EventButton, role_reason
from web.forms import handle_form, refusal_values, status_of
from web.report_rows import reports_address, resend_button
from web.request import PageRequest, current_request
from web.responses import page, shared_page

router = Router()  # type: ignore[no-untyped-call]

_POLL_S = 30  # each request asks CloudWatch and SQS


@router.get("/system")
def show_system() -> Response[str]:
    """The state of the system."""
    request = current_request(router)
    return shared_page("system.html", request, lambda: _values(request), poll_s=_POLL_S)


def _refused_page(request: PageRequest, refusal: JobyardError) -> Response[str]:
    """The page as it is now, with why a form was refused."""
    values = _values(request, refusal)
    return page("system.html", request, values, status=status_of(refusal), poll_s=_POLL_S)


def _values(request: PageRequest, refusal: JobyardError | None = None) -> dict[str, Any]:
    context, site = request.query_context, request.site
    state = system_state(context)
    answer = site.system_clients.result_or_none
    letters = answer(lambda: list_dead_letters(site.sqs, context))
    return {
        "state": state,
        "quotas": site.settings.quotas,
        "alarms": answer(lambda: list_alarms(site.cloudwatch, context)),
        "letters": letters,
        "rows": [_letter_row(each, request) for each in letters.shown] if letters else [],
        "lost": [_lost_row(each, request) for each in state.lost],
        **refusal_values(request, refusal),
    }


def _lost_row(report: Report, request: PageRequest) -> dict[str, Any]:
    """A report whose mail was lost, with the button that sends it again."""
    button = resend_button(report, request)
    return {
        "report": report,
        "address": reports_address(report.batch_id),
        "resend": replace(button, name=f"{button.name}-{report.batch_id}"),
    }


def _letter_row(letter: DeadLetter, request: PageRequest) -> dict[str, Any]:
    """A dead letter with its buttons."""
    no_redrive = letter.redrive_refusal(request.site.settings.intake_bucket)
    redrive = _button(
        letter,
        "redrive",
        "Redrive",
        "rotate-cw",
        "Its batch starts, as it would have with the event."
        if letter.kind is LetterKind.MANIFEST
        else "The delivery is recorded in the report, as it would have been with the event.",
        no_redrive,
        request,
    )
    discard = _button(
        letter, "discard", "Discard", "trash-2", "The event is deleted for good.", "", request
    )
    return {"letter": letter, "buttons": [redrive, discard]}


def _button(
    letter: DeadLetter,
    event: str,
    label: str,
    icon: str,
    effect: str,
    unavailable_reason: str,
    request: PageRequest,
) -> EventButton:
    return EventButton(
        name=f"{event}-{letter.letter_id}",
        address=f"/system/dead-letters/{letter.letter_id}/{event}",
        label=label,
        icon=icon,
        effect=effect,
        unavailable_reason=role_reason("dead letter", event, request) or unavailable_reason,
        is_dangerous=event == "discard",
    )


@router.post("/system/dead-letters/<letter_id>/redrive")
def redrive_letter(letter_id: str) -> Response[str]:
    """Do what an event that could not be delivered should have caused."""
    request = current_request(router)

    def act() -> str:
        dead_letters.redrive(letter_id, request.site.sqs, request.command_context())
        return "/system"

    return handle_form(act, lambda refusal: _refused_page(request, refusal))


@router.post("/system/dead-letters/<letter_id>/discard")
def discard_letter(letter_id: str) -> Response[str]:
    """Delete an event that could not be delivered."""
    request = current_request(router)

    def act() -> str:
        dead_letters.discard(letter_id, request.site.sqs, request.command_context())
        return "/system"

    return handle_form(act, lambda refusal: _refused_page(request, refusal))
