"""Where the state spaces lie among generic addresses; global memory lies at its own addresses, below them all."""

from __future__ import annotations

WINDOWS = {"shared": 1 << 56, "local": 2 << 56, "param": 3 << 56}

SHARED_START = 1024
"""The shared address of the first variable: what lies below belongs to the system."""

LOCAL_START = 64
PARAMETER_START = 512
