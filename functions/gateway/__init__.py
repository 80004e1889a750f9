"""HTTP code that the API and the pages share: errors, accounts, cursors, encodings."""
