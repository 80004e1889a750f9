"""What the functions behind the HTTP gateway share: errors, accounts, cursors, encodings."""
