"""What is: tables and nothing else. Takes and returns domain values; a module per noun."""
