"""Texts that the tests of URLs and of their redaction share."""

# Repeated, each makes a text that a careless expression reads in quadratic time.
REPEATED_UNITS = [
    "://",
    "://a:b",
    "://a:b/",
    "@",
    "?",
    "?a",
    "&a=",
    "a@://",
    ":",
    "://:",
    "/.",
    "/..",
    "%",
    " :",
]
