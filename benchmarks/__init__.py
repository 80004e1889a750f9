"""The benchmarks of docs/performance.md. Each module measures one thing and its peer."""
