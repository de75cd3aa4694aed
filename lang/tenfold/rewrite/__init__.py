"""Python's `if`, `while` and `for` over traced values: the source rewritten to calls that trace them."""
