"""Gradients of tensors that remember how they were computed."""
