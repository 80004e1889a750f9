"""What people and the machine can do: commands, queries, and the steps of executions."""
