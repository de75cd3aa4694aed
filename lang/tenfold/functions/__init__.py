"""The functions of `tenfold`, by theme; each works on traced tensors inside a trace and compiles itself outside."""
