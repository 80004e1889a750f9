"""Lifecycles: tables of states and transitions, checked for contradictions at import.

A lifecycle is data. Conditional writes, API routes, diagrams and the CLI's commands derive from
it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from jobyard.domain.access import RELATIONS, ROLES, is_allowed, refusal, roles_for
from jobyard.domain.errors import Forbidden, InvalidLifecycle, InvalidTransition, NotFound
from jobyard.domain.plurals import alternatives
from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

MACHINE = "machine"  # the actor and sender of what Jobyard does by itself


class StateType(StrEnum):
    """What a state waits for."""

    INTERACTION = "interaction"  # a person
    TERMINAL = "terminal"  # nothing: it has ended
    TRANSIENT = "transient"  # work that the machine is doing
    WAITING = "waiting"  # a time, its turn or another job


@dataclass(frozen=True)
class State:
    """A state. `description` says how an entity enters and leaves it. `labels` has its name by
    audience, such as `deposit`, `schedule` or `device`.
    """

    name: str
    type: StateType
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def shown_as(self) -> str:
        """The label of each audience, as tables show them; one if all have the same."""
        labels = [*self.labels.values()]
        return " / ".join(labels if len(set(labels)) > 1 else labels[:1])


@dataclass(frozen=True)
class Transition:
    """`event`, sent by one of `senders`, leads from `before` to `after`. Senders are roles,
    relations of a person to the entity (such as its submitter), or `MACHINE`.

    Only a transition that is declared to come `after_end` leaves a terminal state.
    """

    before: str
    event: str
    after: str
    senders: tuple[str, ...]
    after_end: bool = False

    @property
    def title(self) -> str:
        """The event, as tables and diagrams show it."""
        return f"{self.event} (after the end)" if self.after_end else self.event


def event_senders(kind: str, event: str, *, machine: bool = False) -> tuple[str, ...]:
    """The senders of an event of the lifecycle `kind`: the roles in the access table, and the
    machine if it sends the event too.
    """
    return (*((MACHINE,) if machine else ()), *roles_for(kind, event))


@dataclass(frozen=True)
class Cause:
    """Who or what makes a move, and the key by which a repeat of it is recognized.

    `key` is unique per intent: a request id, an event id, or run, pass, chunk and attempt. `actor`
    is a name to show. `sub` is the person's id in the user pool, "" for the machine. Only `sub`
    tells the two apart, because a person may be named "machine".
    """

    key: str
    actor: str = MACHINE
    reason: str = ""
    sub: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES)


@dataclass(frozen=True)
class Move:
    """A transition that was made, its time and cause. A write has `before` in its condition."""

    before: str
    event: str
    after: str
    at: datetime
    cause: Cause


@dataclass(frozen=True)
class UnavailableEvent:
    """An event that a person cannot send now. `reason` says which state or role it needs. If
    the entity's `state` is the reason, `needs` are the states that allow the event, else ().
    """

    event: str
    reason: str
    state: str = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lifecycle:
    """A checked table of states and transitions.

    Raises:
        InvalidLifecycle: a transition names an unknown state; a state is unreachable, or has no way
            out though it is not terminal; a transition leaves a terminal state and is not declared
            to come after the end, or is declared so and leaves another state; an event has no
            sender or an unknown one; or two transitions share a state and an event.
    """

    name: str
    initial: str
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]

    def __post_init__(self) -> None:
        names = [state.name for state in self.states]
        if len(set(names)) != len(names) or self.initial not in names:
            raise InvalidLifecycle(
                f"{self.name}: state names must be unique and include the initial state"
            )
        seen: set[tuple[str, str]] = set()
        for transition in self.transitions:
            if transition.before not in names or transition.after not in names:
                raise InvalidLifecycle(
                    f"{self.name}: {transition} names a state that is not declared"
                )
            known = {*ROLES, *RELATIONS, MACHINE}
            if not transition.senders or not set(transition.senders) <= known:
                raise InvalidLifecycle(
                    f"{self.name}: {transition.event} needs senders from the roles"
                )
            if (transition.before, transition.event) in seen:
                raise InvalidLifecycle(
                    f"{self.name}: {transition.event} leaves {transition.before} twice"
                )
            seen.add((transition.before, transition.event))
        reachable = self._reachable_states()
        for state in self.states:
            ways = [each.after_end for each in self.transitions if each.before == state.name]
            is_terminal = state.type is StateType.TERMINAL
            if state.name not in reachable:
                raise InvalidLifecycle(f"{self.name}: nothing reaches {state.name}")
            if not ways and not is_terminal:
                raise InvalidLifecycle(
                    f"{self.name}: {state.name} must be terminal or have a way out"
                )
            if any(after_end is not is_terminal for after_end in ways):
                raise InvalidLifecycle(
                    f"{self.name}: what leaves a terminal state, and only that, comes after the "
                    f"end; {state.name} is {state.type}"
                )

    def _reachable_states(self) -> set[str]:
        reached, frontier = {self.initial}, [self.initial]
        while frontier:
            state = frontier.pop()
            for transition in self.transitions:
                if transition.before == state and transition.after not in reached:
                    reached.add(transition.after)
                    frontier.append(transition.after)
        return reached

    def state(self, name: str) -> State:
        """The state called `name`.

        Raises:
            InvalidTransition: no state has that name; the message lists the states.
        """
        for state in self.states:
            if state.name == name:
                return state
        known = ", ".join(state.name for state in self.states)
        raise InvalidTransition(f"{self.name} has no state {name!r}; its states are {known}")

    def is_final(self, name: str) -> bool:
        """Whether state `name` is an end. Only what comes after the end leaves it."""
        return self.state(name).type is StateType.TERMINAL

    def transition(self, before: str, event: str) -> Transition:
        """The transition `event` makes from `before`.

        Raises:
            InvalidTransition: `before` does not allow `event`; the message lists the events it
                allows.
        """
        for transition in self.transitions:
            if transition.before == before and transition.event == event:
                return transition
        known = [transition.event for transition in self.transitions if transition.before == before]
        allowed = f"it can {', '.join(known)}" if known else "nothing more can happen to it"
        raise InvalidTransition(f"{self.name} is {before}: cannot {event}; {allowed}")

    def move(self, before: str, event: str, at: datetime, cause: Cause) -> Move:
        """The move `event` makes from `before`.

        Raises:
            InvalidTransition: `before` does not allow `event`.
        """
        return Move(before, event, self.transition(before, event).after, at, cause)

    def authorized_move(
        self,
        before: str,
        event: str,
        at: datetime,
        cause: Cause,
        roles: Iterable[str],
        *,
        kind: str = "",
    ) -> Move:
        """The move that a person with `roles` requests. `kind` is as for `unavailable`.

        Raises:
            InvalidTransition: `before` does not allow `event`.
            Forbidden: none of `roles` may send `event`; the message says who may.
        """
        if not any(
            transition.before == before and transition.event == event
            for transition in self.transitions
        ):
            known = [
                each
                for each in self.actions(before, roles)
                if not kind or is_allowed(kind, each, roles)
            ]
            allowed = f"you can {', '.join(known)}" if known else "there is nothing you can do now"
            raise InvalidTransition(f"{self.name} is {before}: cannot {event}; {allowed}")
        move = self.move(before, event, at, cause)
        allowed_senders = self.transition(before, event).senders
        if not set(allowed_senders) & set(roles):
            raise Forbidden(refusal(self.name, event, allowed_senders))
        return move

    def people_events(self) -> tuple[str, ...]:
        """The events that a person may send, in table order: those with a route in the API."""
        return tuple(
            dict.fromkeys(
                transition.event
                for transition in self.transitions
                if set(transition.senders) - {MACHINE}
            )
        )

    def check_event(self, event: str) -> None:
        """Check that a person may send `event` in at least one state.

        Raises:
            NotFound: there is no such event; the message lists the events.
        """
        if event not in self.people_events():
            known = ", ".join(self.people_events())
            raise NotFound(f"a {self.name} has no event {event!r}; there are {known}")

    def actions(self, state: str, roles: Iterable[str]) -> tuple[str, ...]:
        """The events that a person with `roles` may send in `state`, in table order."""
        allowed = set(roles)
        return tuple(
            transition.event
            for transition in self.transitions
            if transition.before == state and set(transition.senders) & allowed
        )

    def unavailable(
        self,
        state: str,
        roles: Collection[str],
        *,
        kind: str = "",
        refused: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[UnavailableEvent, ...]:
        """The events that people can send, but not a person with `roles` in `state`, in table
        order, each with the reason.

        `kind` is the entity's kind in the access table, if it is not the lifecycle's name: events
        that it never takes are left out. `refused` has the reasons, by event, why it cannot take
        what its state allows.
        """
        found = []
        for event in self.people_events():
            senders = roles_for(kind or self.name, event)
            if not senders:
                continue
            states = [
                each.before
                for each in self.transitions
                if each.event == event and set(each.senders) - {MACHINE}
            ]
            if set(senders).isdisjoint(roles):
                found.append(UnavailableEvent(event, refusal(kind or self.name, event, senders)))
            elif state not in states:
                needs = tuple(dict.fromkeys(states))
                reason = f"the {self.name} must be {alternatives(needs)}; it is {state}"
                found.append(UnavailableEvent(event, reason, state, needs))
            elif event in refused:
                found.append(UnavailableEvent(event, refused[event]))
        return tuple(found)

    def document(self) -> dict[str, Any]:
        """The table as JSON, as the API and `jobyard lifecycle NAME --json` show it."""
        return {
            "name": self.name,
            "initial": self.initial,
            "states": [
                {
                    "name": state.name,
                    "type": state.type.value,
                    "description": state.description,
                    "labels": dict(state.labels),
                }
                for state in self.states
            ],
            "transitions": [
                {
                    "from": transition.before,
                    "event": transition.event,
                    "to": transition.after,
                    "senders": list(transition.senders),
                    "after_end": transition.after_end,
                }
                for transition in self.transitions
            ],
        }

    def diagram(self) -> str:
        """The table as a mermaid state diagram, one edge per transition."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.initial}"]
        lines += [f"    {t.before} --> {t.after}: {t.title}" for t in self.transitions]
        lines += [
            f"    {state.name} --> [*]" for state in self.states if state.type is StateType.TERMINAL
        ]
        return "\n".join(lines) + "\n"
