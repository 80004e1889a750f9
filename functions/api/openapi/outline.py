"""The OpenAPI document as a reader goes through it: chapters of requests, then documents.

The page at /api/docs and docs/api.md are both written from this, each in its own markup.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_REF = "#/components/schemas/"


@dataclass(frozen=True)
class Part:
    """A parameter or a field. `kind` is what may stand there; `place` is path, query, header or
    "" for a field. `document` names the document it holds, "" if none."""

    name: str
    place: str
    kind: str
    document: str
    needed: bool
    description: str


@dataclass(frozen=True)
class Reply:
    """What may come back. `document` names it, "" when the body is something else or nothing."""

    status: str
    description: str
    document: str


@dataclass(frozen=True)
class Request:
    """One thing to ask. `body` names the document to send, "" when there is none.

    `problems` are (status, kinds): what it may be refused with.
    """

    method: str
    path: str
    name: str
    summary: str
    description: str
    parts: tuple[Part, ...]
    body: str
    replies: tuple[Reply, ...]
    problems: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Chapter:
    """What can be asked about one noun."""

    name: str
    description: str
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Document:
    """A document that is sent or comes back: one with fields, or one of some words.

    `words` is empty where the description lists them.
    """

    name: str
    description: str
    parts: tuple[Part, ...]
    words: tuple[str, ...]


def chapters(described: Mapping[str, Any]) -> list[Chapter]:
    """The requests by tag, in the order the tags are given."""
    return [
        Chapter(tag["name"], tag["description"], tuple(_requests(described["paths"], tag["name"])))
        for tag in described["tags"]
    ]


def _requests(paths: Mapping[str, Any], tag: str) -> Iterator[Request]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            if tag in operation["tags"]:
                yield _request(path, method.upper(), operation)


def _request(path: str, method: str, operation: Mapping[str, Any]) -> Request:
    content = operation.get("requestBody", {}).get("content", {})
    answers = operation["responses"]
    return Request(
        method,
        path,
        operation["operationId"],
        operation["summary"],
        operation.get("description", ""),
        tuple(
            Part(
                each["name"],
                each["in"],
                kind_of(each["schema"]),
                _document_of(each["schema"]),
                each["required"],
                each.get("description", ""),
            )
            for each in operation.get("parameters", ())
            if each["in"] != "header"  # these are the same everywhere, and said at the beginning
        ),
        next((_document_of(each["schema"]) for each in content.values()), ""),
        tuple(_reply(status, each) for status, each in answers.items() if status < "4"),
        tuple(
            (status, tuple(re.findall(r"`([^`]+)`", each["description"])))
            for status, each in answers.items()
            if status >= "4"
        ),
    )


def _reply(status: str, answer: Mapping[str, Any]) -> Reply:
    schemas = [each.get("schema", {}) for each in answer.get("content", {}).values()]
    document = next((_document_of(schema) for schema in schemas), "")
    return Reply(status, answer["description"], document)


def documents(described: Mapping[str, Any]) -> list[Document]:
    """The documents, by name."""
    return [
        Document(
            name,
            schema.get("description", ""),
            tuple(_fields(schema)),
            () if "\n- " in schema.get("description", "") else tuple(schema.get("enum", ())),
        )
        for name, schema in sorted(described["components"]["schemas"].items())
        if "properties" in schema or "enum" in schema
    ]


def _fields(schema: Mapping[str, Any]) -> Iterator[Part]:
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield Part(
            name,
            "",
            kind_of(field),
            _document_of(field),
            name in needed,
            field.get("description", ""),
        )


def _document_of(schema: Mapping[str, Any]) -> str:
    """The document a schema holds, alone, in a list, or perhaps."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    inner = [schema["items"]] if "items" in schema else [*schema.get("anyOf", ())]
    return next((name for each in inner if (name := _document_of(each))), "")


def kind_of(schema: Mapping[str, Any]) -> str:
    """What may stand where `schema` applies, in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    if "anyOf" in schema:
        return " or ".join(kind_of(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(str(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema['items'])}{_bounds(schema, 'Items', '')}"
    if "properties" in schema:
        return f"object of {', '.join(schema['properties'])}"
    words = _FORMATS.get(schema.get("format", ""), schema.get("type", "anything"))
    unit = " characters" if schema.get("type") == "string" else ""
    return f"{words}{_bounds(schema, 'Length', unit)}{_bounds(schema, 'imum', '')}"


_FORMATS = {"date-time": "time", "email": "e-mail address", "uri": "URL"}


def _bounds(schema: Mapping[str, Any], what: str, unit: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    if least is not None and most is not None:
        return f", {least:,.15g} to {most:,.15g}{unit}"
    return f", up to {most:,.15g}{unit}" if most is not None else ""
