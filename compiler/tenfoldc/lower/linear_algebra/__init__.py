"""Factors of matrices, and systems of equations with triangular ones: substitution in panels that registers hold."""
