"""What a person or the machine can ask for: one function each, and `views` for reads."""
