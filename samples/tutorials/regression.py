"""A line is fitted to points by hand: parameters, a loss, its gradients, and steps against them.

    python samples/tutorials/regression.py

With `import torch` in place of the import below, it prints the same.
"""

import numpy as np

import tenfold as torch

rng = np.random.default_rng(0)
x = torch.from_numpy(rng.uniform(-2, 2, (64, 1)).astype(np.float32))
noise = torch.from_numpy(rng.normal(0, 0.1, (64, 1)).astype(np.float32))
y = 3 * x + 1 + noise

w = torch.zeros(1, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for step in range(401):
    loss = ((x @ w + b - y) ** 2).mean()
    loss.backward()
    w.data -= 0.01 * w.grad
    b.data -= 0.01 * b.grad
    w.grad.zero_()
    b.grad.zero_()
    if step % 50 == 0:
        print(f"step {step:3d}  loss {loss.item():.4f}  w {w.item():.3f}  b {b.item():.3f}")
print(w.data.round(decimals=2), b.detach().round(decimals=2))
print(w.shape, w.requires_grad, w.is_leaf, w.grad)

# A polynomial through the sine, all coefficients in one tensor, updated without recording.
points = torch.linspace(-np.pi, np.pi, 200)
target = torch.sin(points)
powers = torch.stack([(points / np.pi) ** k for k in range(4)], dim=-1)
coefficients = torch.zeros(4, requires_grad=True)
for step in range(1001):
    loss = (powers @ coefficients - target).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        coefficients -= 2e-3 * coefficients.grad
        coefficients.grad = None
    if step % 250 == 0:
        print(step, f"{loss.item():.3f}")
print([f"{c:.2f}" for c in coefficients[1::2].tolist()])
