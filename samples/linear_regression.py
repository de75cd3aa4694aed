"""Recover a line from noisy points by gradient descent: the smallest training program.

python samples/linear_regression.py
"""

from __future__ import annotations

import numpy as np

import tenfold as tn

POINTS, FEATURES = 200, 3


def mean_squared_error(weights, bias, x, y):
    return tn.mean((x @ weights + bias - y) ** 2)


@tn.compile
def step(weights, bias, x, y, learning_rate):
    """One step of gradient descent; gives the new weights and bias, and the loss before the step."""
    loss, (dw, db) = tn.value_and_grad(mean_squared_error, argnums=(0, 1))(weights, bias, x, y)
    return weights - learning_rate * dw, bias - learning_rate * db, loss


def main() -> None:
    rng = np.random.default_rng(0)
    true_weights, true_bias = np.array([2.0, -1.0, 0.5], np.float32), np.float32(3.0)
    x = rng.standard_normal((POINTS, FEATURES)).astype(np.float32)
    y = x @ true_weights + true_bias + 0.01 * rng.standard_normal(POINTS).astype(np.float32)

    weights, bias = np.zeros(FEATURES, np.float32), np.zeros((), np.float32)
    rate = np.float32(0.1)
    for i in range(101):
        weights, bias, loss = step(weights, bias, x, y, rate)
        if i % 25 == 0:
            print(f"step {i:3d}: loss {float(loss):.6f}")
    print("weights", np.round(weights, 2), "bias", np.round(bias, 2))


if __name__ == "__main__":
    main()
