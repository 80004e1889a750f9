"""The DynamoDB tables, through PynamoDB: a module per noun, which takes and returns domain values.

Every read is strongly consistent, unless its docstring says that it reads an index.
"""
