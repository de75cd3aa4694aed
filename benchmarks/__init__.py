"""How long things take, beside the peers that are installed: `python -m benchmarks --help`; see README.md."""
