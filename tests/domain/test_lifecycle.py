"""The engine refuses contradictory tables and undeclared transitions."""

from datetime import UTC, datetime

import pytest

from jobyard.domain.errors import Forbidden, InvalidLifecycle, InvalidTransition
from jobyard.domain.jobs.job import JOB
from jobyard.domain.lifecycle import Cause, Lifecycle, State, StateType, Transition

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRESS = Cause("request-1", "operator", "because")

NEW = State("new", StateType.WAITING, "made")
WORK = State("work", StateType.TRANSIENT, "started")
DONE = State("done", StateType.TERMINAL, "ended")
START = Transition("new", "start", "work", ("machine",))
END = Transition("work", "end", "done", ("machine",))
STOP = Transition("work", "stop", "done", ("operator",))


def lifecycle(*transitions: Transition, states: tuple[State, ...] = (NEW, WORK, DONE)) -> Lifecycle:
    return Lifecycle("thing", "new", states, transitions)


@pytest.mark.parametrize(
    ("reason", "states", "transitions"),
    [
        (
            "a state nothing reaches",
            (NEW, WORK, DONE),
            (Transition("new", "x", "done", ("admin",)),),
        ),
        ("a state with no way out that is not terminal", (NEW, WORK, DONE), (START,)),
        (
            "a terminal state with a way out",
            (NEW, WORK, DONE),
            (START, END, Transition("done", "again", "new", ("admin",))),
        ),
        (
            "a move after the end from a state that is none",
            (NEW, WORK, DONE),
            (START, END, Transition("work", "again", "new", ("admin",), after_end=True)),
        ),
        (
            "a state that is no end, and that only a move after the end could leave",
            (NEW, WORK, DONE),
            (START, Transition("work", "end", "done", ("machine",), after_end=True)),
        ),
        (
            "an event without a sender",
            (NEW, WORK, DONE),
            (START, Transition("work", "end", "done", ())),
        ),
        (
            "a sender nobody knows",
            (NEW, WORK, DONE),
            (START, Transition("work", "end", "done", ("king",))),
        ),
        ("one event leading two ways", (NEW, WORK, DONE), (START, END, END)),
        (
            "a transition to a state that is not declared",
            (NEW, WORK, DONE),
            (START, END, Transition("new", "lose", "lost", ("admin",))),
        ),
        ("two states of one name", (NEW, NEW, DONE), (Transition("new", "x", "done", ("admin",)),)),
        ("an initial state that is missing", (WORK, DONE), (END,)),
    ],
)
def test_a_broken_table_is_refused(
    reason: str, states: tuple[State, ...], transitions: tuple[Transition, ...]
) -> None:
    with pytest.raises(InvalidLifecycle):
        lifecycle(*transitions, states=states)


def test_a_state_shows_the_labels_of_all_audiences_or_the_one_that_all_have() -> None:
    shown = {state.name: state.shown_as for state in JOB.states}

    assert shown["paused"] == "Paused / In Progress / Paused"
    assert shown["succeeded"] == "Completed / Completed / Succeeded"
    assert shown["failed"] == "Failed"


def test_a_move_has_its_from_state() -> None:
    move = lifecycle(START, END).move("new", "start", NOON, PRESS)

    assert (move.before, move.event, move.after) == ("new", "start", "work")
    assert (move.at, move.cause) == (NOON, PRESS)


def test_an_event_a_state_does_not_know_is_refused_with_those_it_knows() -> None:
    with pytest.raises(InvalidTransition, match="thing is work: cannot start; it can end, stop"):
        lifecycle(START, END, STOP).move("work", "start", NOON, PRESS)


def test_nothing_more_can_happen_in_a_terminal_state() -> None:
    table = lifecycle(START, END)

    assert table.is_final("done")
    with pytest.raises(InvalidTransition, match="nothing more can happen"):
        table.move("done", "end", NOON, PRESS)


def test_a_person_may_send_only_what_the_table_gives_their_role() -> None:
    table = lifecycle(START, END, STOP)

    assert table.authorized_move("work", "stop", NOON, PRESS, {"operator"}).after == "done"
    with pytest.raises(Forbidden, match="only an operator may stop a thing"):
        table.authorized_move("work", "stop", NOON, PRESS, {"viewer", "admin"})
    with pytest.raises(Forbidden, match="only the machine"):
        table.authorized_move("work", "end", NOON, PRESS, {"operator", "admin"})


def test_only_what_a_person_may_send_is_offered() -> None:
    table = lifecycle(START, END, STOP)

    assert table.people_events() == ("stop",)
    assert table.actions("work", {"operator"}) == ("stop",)
    assert table.actions("work", {"viewer"}) == ()


def test_an_event_that_is_not_open_says_which_state_or_role_it_needs() -> None:
    held = JOB.unavailable("running", {"operator"})

    assert {each.event: each.reason for each in held} == {
        "hold": "the job must be scheduled; it is running",
        "release": "the job must be held; it is running",
        "requeue": "the job must be failed; it is running",
        "delete": "the job must be held or failed; it is running",
    }
    (first, *_) = JOB.unavailable("running", {"viewer"})
    assert first.reason == "only an operator or an admin may hold a job; ask one of them"


def test_an_event_that_a_kind_never_takes_is_not_among_those_that_are_not_open() -> None:
    events = {each.event for each in JOB.unavailable("succeeded", {"admin"}, kind="schedule job")}

    assert events == {"force_fail", "cancel", "requeue", "delete"}


def test_what_its_state_allows_may_be_refused_for_a_reason_of_its_own() -> None:
    refused = {"requeue": "its batch is reporting", "hold": "never said"}

    by_event = {
        each.event: each.reason for each in JOB.unavailable("failed", {"operator"}, refused=refused)
    }

    assert by_event["requeue"] == "its batch is reporting"
    assert by_event["hold"] == "the job must be scheduled; it is failed"
    assert "delete" not in by_event


def test_an_unknown_state_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidTransition, match="its states are new, work, done"):
        lifecycle(START, END).state("nowhere")


def test_the_document_and_the_diagram_show_every_transition() -> None:
    table = lifecycle(START, END, STOP)

    document = table.document()

    assert [state["name"] for state in document["states"]] == ["new", "work", "done"]
    assert document["transitions"][2] == {
        "from": "work",
        "event": "stop",
        "to": "done",
        "senders": ["operator"],
        "after_end": False,
    }
    assert "    work --> done: stop" in table.diagram()


def test_an_end_is_left_only_by_a_move_that_is_declared_to_come_after_it() -> None:
    table = lifecycle(START, END, Transition("done", "again", "new", ("admin",), after_end=True))

    assert table.is_final("done")
    assert table.actions("done", {"admin"}) == ("again",)
    assert table.move("done", "again", NOON, PRESS).after == "new"
    assert table.document()["transitions"][-1]["after_end"] is True
    assert "    done --> new: again (after the end)" in table.diagram()
    assert "    done --> [*]" in table.diagram()
