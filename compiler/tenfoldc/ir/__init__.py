"""The tensor IR: types, values and operations, op records, the builder, the verifier and the printer."""
