"""What docs/performance.md rests on: each module measures one thing beside a peer."""
