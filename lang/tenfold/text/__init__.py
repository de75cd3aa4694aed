"""The text language: StableHLO's MLIR syntax, read into tensor IR."""
