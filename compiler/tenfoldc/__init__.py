"""The compiler: programs in, artifacts out.  Read `pipeline.py` first."""
