"""Lowering: groups of operations become kernels of loops."""

from tenfoldc.lower.program import lower as lower
from tenfoldc.lower.rules import cpu_rules as cpu_rules
