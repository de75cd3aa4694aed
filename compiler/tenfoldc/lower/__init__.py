"""Lowering: groups of operations become kernels of loops."""

from tenfoldc.lower.common_panels import with_common_panels as with_common_panels
from tenfoldc.lower.program import lower as lower
from tenfoldc.lower.rules import cpu_rules as cpu_rules
