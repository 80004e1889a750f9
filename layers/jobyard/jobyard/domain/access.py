"""Who may do what: one table, (kind, event) → roles.

All other access rules derive from it: the senders of lifecycle events, the checks in services, and
the roles that the API, the CLI and the docs name.
"""

from collections.abc import Iterable, Mapping

from jobyard.domain.plurals import alternatives

# The groups of the user pool that are roles.
ROLES = ("viewer", "depositor", "operator", "planner", "worker", "reviewer", "admin")
# A person's relation to one batch or collection. No group has such a name: it has no spaces.
SUBMITTER = "its submitter"
OWNER = "its owner"
MEMBER = "one of its people or groups"
TEAM = "one of its team"  # of an edit job: its workers, and those who review it
RELATIONS = frozenset({SUBMITTER, OWNER, MEMBER, TEAM})

_READERS = ("viewer", "operator", "admin")
_OPERATORS = ("operator", "admin")
_ADMINS = ("admin",)
_DATASET_READERS = ("viewer", "planner", "worker", "reviewer", "admin")
_PLANNERS = ("planner", "admin")
_WORKERS = ("worker",)  # and only in their teams; an admin may not do the work of others
_REVIEWERS = ("reviewer",)  # and only what they had no part in

# Only the machine may send an event that is not listed. "view" includes all details, such as the
# reports and cost of a batch. Without it, the answer is that the entity does not exist.
ACCESS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("batch", "list"): ("viewer", "depositor", "operator", "admin"),  # a depositor's own only
    ("batch", "view"): (SUBMITTER, *_READERS),
    ("batch", "submit"): ("depositor", "operator", "admin"),  # if the collection allows it too
    # Their jobs call URLs with credentials, and invoke functions of the deployment.
    ("batch of http", "submit"): _OPERATORS,
    ("batch of lambda", "submit"): _OPERATORS,
    ("batch", "release"): _OPERATORS,
    ("batch", "cancel"): (SUBMITTER, *_OPERATORS),
    ("batch", "delete"): _ADMINS,
    ("batch", "update_reporting"): _ADMINS,
    ("batch", "resend_report"): _ADMINS,
    # A job of a batch.
    ("job", "view"): (SUBMITTER, *_READERS),
    ("job", "view_log"): _OPERATORS,  # lines quote AWS and libraries, which may name others' things
    ("job", "hold"): _OPERATORS,
    ("job", "release"): _OPERATORS,
    ("job", "force_fail"): _OPERATORS,
    ("job", "cancel"): _OPERATORS,
    ("job", "requeue"): _OPERATORS,
    ("job", "delete"): _OPERATORS,
    # A job of a schedule cannot be held; its schedule can be suspended.
    ("schedule job", "view"): _ADMINS,
    ("schedule job", "view_log"): _ADMINS,
    ("schedule job", "force_fail"): _ADMINS,
    ("schedule job", "cancel"): _ADMINS,
    ("schedule job", "requeue"): _ADMINS,
    ("schedule job", "delete"): _ADMINS,
    ("schedule", "view"): _ADMINS,
    ("schedule", "preview"): _ADMINS,
    ("schedule", "create"): _ADMINS,
    ("schedule", "edit"): _ADMINS,
    ("schedule", "suspend"): _ADMINS,
    ("schedule", "resume"): _ADMINS,
    ("schedule", "run_now"): _ADMINS,
    ("schedule", "delete"): _ADMINS,
    ("schedule", "resend_report"): _ADMINS,
    # A campaign is a job with many tasks; holds on it are holds.
    ("campaign", "view"): _READERS,
    ("campaign", "start"): _ADMINS,
    ("campaign", "change"): _OPERATORS,
    ("campaign", "retry"): _OPERATORS,
    ("campaign", "pause"): _OPERATORS,
    ("campaign", "resume"): _OPERATORS,
    ("campaign", "cancel"): _OPERATORS,
    ("campaign", "force"): _OPERATORS,
    ("campaign", "resend_report"): _ADMINS,
    # A task cannot be held; its campaign can be paused.
    ("task", "view"): _READERS,
    ("task", "view_log"): _OPERATORS,
    ("task", "cancel"): _OPERATORS,
    ("task", "requeue"): _OPERATORS,
    ("calendar", "view"): _ADMINS,
    ("calendar", "put"): _ADMINS,
    ("calendar", "delete"): _ADMINS,
    ("collection", "view"): (OWNER, *_READERS),  # and everyone who may submit to it
    ("collection", "create"): _ADMINS,
    ("collection", "edit"): (OWNER, *_ADMINS),
    ("collection", "add_naan"): _ADMINS,  # else an owner could claim another collection's arks
    ("collection", "allow"): (OWNER, *_ADMINS),
    ("collection", "deny"): (OWNER, *_ADMINS),
    ("collection", "deposit"): (OWNER, MEMBER, *_ADMINS),  # an admin could allow themselves
    ("activity", "view"): _READERS,  # of acts on schedules and calendars: who may see those
    ("rates", "view"): _READERS,
    ("cost", "view"): _READERS,  # of a month; that of a batch, say, is a part of its view
    ("alarm", "view"): _OPERATORS,
    ("dead letter", "view"): _OPERATORS,
    ("dead letter", "redrive"): _ADMINS,
    ("dead letter", "discard"): _ADMINS,
    ("webhook", "view"): _ADMINS,
    ("webhook", "create"): _ADMINS,
    ("webhook", "update"): _ADMINS,
    ("webhook", "rotate_secret"): _ADMINS,
    ("webhook", "disable"): _ADMINS,
    ("webhook", "enable"): _ADMINS,
    ("webhook", "delete"): _ADMINS,
    ("webhook", "redeliver"): _ADMINS,
    ("hold", "view"): ("viewer", "depositor", "operator", "admin"),
    ("hold", "place"): _OPERATORS,
    ("hold", "lift"): _OPERATORS,
    ("dataset", "view"): _DATASET_READERS,
    ("dataset", "export"): _DATASET_READERS,
    ("dataset", "load"): _PLANNERS,
    ("dataset", "edit"): _ADMINS,  # its title and its rules
    ("dataset", "delete"): _ADMINS,
    # An edit job and its children: fix-ups and reviews.
    ("edit", "view"): (TEAM, "viewer", "planner", "admin"),
    ("edit", "view_log"): _ADMINS,
    ("edit", "propose"): _PLANNERS,
    ("edit", "edit"): _PLANNERS,
    ("edit", "delete"): _PLANNERS,
    ("edit", "allocate"): _PLANNERS,
    ("edit", "revoke"): _PLANNERS,
    ("edit", "release"): _PLANNERS,
    ("edit", "abandon"): _PLANNERS,
    ("edit", "retry"): _PLANNERS,
    ("edit", "archive"): _PLANNERS,
    ("edit", "activate"): _WORKERS,
    ("edit", "download"): _WORKERS,
    ("edit", "upload"): _WORKERS,
    ("edit", "relinquish"): _WORKERS,
    ("edit", "finish"): _WORKERS,
    ("edit", "publish_again"): _ADMINS,
    ("fixup", "view"): (TEAM, "viewer", "planner", "admin"),
    ("fixup", "allocate"): _PLANNERS,
    ("fixup", "activate"): _WORKERS,
    ("fixup", "download"): _WORKERS,
    ("fixup", "upload"): _WORKERS,
    ("fixup", "relinquish"): _WORKERS,
    ("review", "view"): (TEAM, "viewer", "planner", "admin"),
    ("review", "allocate"): _PLANNERS,
    ("review", "activate"): _REVIEWERS,
    ("review", "download"): _REVIEWERS,
    ("review", "upload"): _REVIEWERS,
    ("review", "relinquish"): _REVIEWERS,
    ("review", "approve"): _REVIEWERS,
    ("review", "require_corrections"): _REVIEWERS,
    ("review", "discard"): _REVIEWERS,
    ("attachment", "request"): _PLANNERS,  # custodians answer by the link in their mail
    ("attachment", "resend"): _PLANNERS,
    ("attachment", "answer"): _PLANNERS,
    ("attachment", "download"): _PLANNERS,  # workers and reviewers have them in their packages
    ("worklist", "view"): ("planner", "worker", "reviewer", "admin"),
    ("edit settings", "view"): _DATASET_READERS,
    ("edit settings", "put"): _ADMINS,
    ("edit settings", "delete"): _ADMINS,
    ("team", "view"): _DATASET_READERS,
    ("team", "put"): _ADMINS,
    ("team", "delete"): _ADMINS,
}


def roles_for(kind: str, event: str) -> tuple[str, ...]:
    """The roles and relations that may send `event` to an entity of `kind`; empty if none may."""
    return ACCESS.get((kind, event), ())


def is_allowed(kind: str, event: str, roles: Iterable[str]) -> bool:
    """Whether a person with these roles and relations may send `event` to an entity of `kind`."""
    return not set(roles).isdisjoint(roles_for(kind, event))


def refusal(kind: str, event: str, roles: Iterable[str], hint: str = "ask one of them") -> str:
    """The message of a refusal: "only an operator or an admin may lift a hold; ask one of them".

    `roles` are those that may do it, `hint` is what to do.
    """
    what = f"{_VERBS.get(event, event)} {_with_article(kind)}"
    if people := [role for role in roles if role in ROLES or role in RELATIONS]:
        return f"only {listed(people)} may {what}; {hint}"
    return f"only the machine may {what}"


def listed(roles: Iterable[str]) -> str:
    """Roles as a sentence lists them: "a depositor, an operator or an admin"."""
    names = [role if role in RELATIONS else _with_article(role) for role in roles]
    return alternatives(names)


# The verbs of events whose names do not read well before an object.
_VERBS = {
    "add_naan": "add a NAAN to",
    "allow": "add depositors to",
    "deny": "remove depositors from",
    "deposit": "deposit into",
    "force_fail": "force-fail",
    "publish_again": "publish again",
    "require_corrections": "require corrections in",
    "resend_report": "send again a report of",
    "redeliver": "send again a delivery of",
    "rotate_secret": "rotate the secret of",
    "run_now": "start a run of",
    "update_reporting": "update the reporting of",
    "view_log": "see the log of",
}


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
