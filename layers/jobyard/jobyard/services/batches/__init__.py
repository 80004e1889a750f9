"""What happens to a batch: opened, run, settled, resumed."""
