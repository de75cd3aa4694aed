"""How the coefficients of `tenfoldc.loops.math` are found: a developers' tool, which needs mpmath."""
