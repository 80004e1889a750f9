"""The paths of links in mails, which lead to pages without signing in."""

REPORT_FILES = "/report-files/"
ATTACHMENTS = "/attachments/"
