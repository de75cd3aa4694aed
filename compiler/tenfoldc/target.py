"""The machine that code is made for: a triple, a CPU level and its features.

`host()` finds this machine's features without LLVM, so that a cached call need not import it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A CPU target.  `cpu` and `features` are LLVM's names; `features` are those present, sorted, no `+`."""

    triple: str
    cpu: str
    features: tuple[str, ...]

    @property
    def vector_bytes(self) -> int:
        """Width of the widest vector register that code may use."""
        if "avx512f" in self.features:
            return 64
        if "avx" in self.features:
            return 32
        return 16

    @property
    def vector_registers(self) -> int:
        """How many vector registers there are."""
        return 32 if "avx512f" in self.features or self.triple.startswith("aarch64") else 16

    @property
    def has_fma(self) -> bool:
        """Whether a fused multiply-add is one instruction."""
        return "fma" in self.features or self.triple.startswith("aarch64")
