"""From the loop IR to LLVM IR text, and from that to object code."""
