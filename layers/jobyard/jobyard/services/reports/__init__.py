"""Reports: their files and their mails."""
