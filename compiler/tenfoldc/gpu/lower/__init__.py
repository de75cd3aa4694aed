"""How groups become launches of a GPU."""

from tenfoldc.gpu.lower.rules import gpu_rules as gpu_rules
