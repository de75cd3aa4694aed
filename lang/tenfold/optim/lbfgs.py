"""L-BFGS: quasi-Newton steps from the last changes of gradients, with a line search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tenfold.autograd import enable_grad, no_grad
from tenfold.control.scans import scan
from tenfold.eager import tensor_function
from tenfold.functions.creation import zeros, zeros_like
from tenfold.functions.linear_algebra import dot
from tenfold.functions.reductions import amax
from tenfold.functions.reductions import sum as total
from tenfold.functions.shapes import cat, stack
from tenfold.optim.line_search import Point, strong_wolfe
from tenfold.optim.optimizer import Closure, Optimizer, Params, require_at_least_zero
from tenfold.tensor import Tensor
from tenfold_rt.errors import ArgumentError


class LBFGS(Optimizer):
    """Steps along -H g, H being an inverse Hessian made of the last `history_size` steps (Nocedal, 1980).

    `step` needs a closure that computes the loss and the gradients, which it calls up to `max_eval` times.  With
    `line_search_fn` "strong_wolfe" the length of a step is searched for, else it is `lr`.
    """

    def __init__(
        self,
        params: Params,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: Literal["strong_wolfe"] | None = None,
    ) -> None:
        require_at_least_zero(learning__rate=lr)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ArgumentError("only 'strong_wolfe' is supported")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ArgumentError("LBFGS doesn't support per-parameter options (parameter groups)")

    def step(self, closure: Closure | None = None) -> Any:
        """Up to `max_iter` quasi-Newton steps; gives the loss before them."""
        if closure is None:
            raise ArgumentError("LBFGS: step needs a closure that computes the loss again")
        return _Minimisation(self, closure).run()


class _Minimisation:
    """One call of `step`."""

    def __init__(self, optimizer: LBFGS, closure: Closure) -> None:
        self._settings = optimizer.param_groups[0]
        self._params: list[Tensor] = self._settings["params"]
        self._state: dict[str, Any] = optimizer.state[self._params[0]]
        self._closure = closure

    def _evaluate(self) -> Any:
        self._state["func_evals"] += 1
        with enable_grad():
            return self._closure()

    def run(self) -> Any:
        """The loss before the steps."""
        state, settings = self._state, self._settings
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        evaluated = state["func_evals"]
        first = self._evaluate()
        with no_grad():
            loss, gradient = float(first), self._gradient()
            if _largest(gradient) <= settings["tolerance_grad"]:
                return first
            for turn in range(1, settings["max_iter"] + 1):
                state["n_iter"] += 1
                direction = self._direction(gradient)
                before = state["prev_loss"] = loss
                state["prev_flat_grad"] = gradient.clone()
                step = float(settings["lr"])
                if state["n_iter"] == 1:
                    step *= min(1.0, 1.0 / float(gradient.abs().sum()))
                slope = float(dot(gradient, direction))
                if slope > -settings["tolerance_change"]:
                    break
                last = turn == settings["max_iter"]
                start = Point(0.0, loss, slope, gradient)
                state["t"], loss, gradient = self._move(direction, start, step, last)
                if (
                    last
                    or state["func_evals"] - evaluated >= settings["max_eval"]
                    or _largest(gradient) <= settings["tolerance_grad"]
                    or _largest(direction) * state["t"] <= settings["tolerance_change"]
                    or abs(loss - before) < settings["tolerance_change"]
                ):
                    break
        return first

    def _direction(self, gradient: Tensor) -> Tensor:
        """-H g; H takes in what the last step changed, where the function was convex along it."""
        state = self._state
        if state["n_iter"] == 1:
            state.update(d=-gradient, old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return state["d"]
        change, step, product, square = changes(gradient, state["prev_flat_grad"], state["d"], state["t"])
        curvature = float(product)
        if curvature > 1e-10:
            if len(state["old_dirs"]) == self._settings["history_size"]:
                for name in ("old_dirs", "old_stps", "ro"):
                    state[name].pop(0)
            state["old_dirs"].append(change)
            state["old_stps"].append(step)
            state["ro"].append(1.0 / product)
            state["H_diag"] = curvature / float(square)
        state["d"] = self._two_loops(gradient)
        return state["d"]

    def _two_loops(self, gradient: Tensor) -> Tensor:
        """The history is filled up with zeros, which change nothing, so that few programs serve all its lengths."""
        state = self._state
        known = len(state["ro"])
        missing = (1 << max(known - 1, 0).bit_length()) - known
        nothing, none = [zeros_like(gradient)] * missing, [zeros((), dtype=gradient.dtype)] * missing
        return direction_of(
            gradient,
            stack(nothing + state["old_dirs"]),
            stack(nothing + state["old_stps"]),
            stack(none + state["ro"]),
            state["H_diag"],
        )

    def _move(self, direction: Tensor, start: Point, step: float, last: bool) -> tuple[float, float, Tensor]:
        """Move the parameters along `direction`; the length, and the loss and the gradient there."""
        origin = [param.clone() for param in self._params]
        if self._settings["line_search_fn"] is None:
            self._place(origin, direction, step)
            if last:
                return step, start.value, start.gradient
            loss = float(self._evaluate())
            return step, loss, self._gradient()

        def evaluate(length: float) -> Point:
            self._place(origin, direction, length)
            loss = float(self._evaluate())
            gradient = self._gradient()
            return Point(length, loss, float(dot(gradient, direction)), gradient)

        tolerance = self._settings["tolerance_change"]
        point, _ = strong_wolfe(evaluate, start, step, _largest(direction), tolerance)
        self._place(origin, direction, point.step)
        return point.step, point.value, point.gradient

    def _place(self, origin: Sequence[Tensor], direction: Tensor, length: float) -> None:
        begin = 0
        for param, before in zip(self._params, origin, strict=True):
            count = param.numel()
            part = direction[begin : begin + count].reshape(param.shape)
            param.copy_(before + part * length)
            begin += count

    def _gradient(self) -> Tensor:
        """The gradients of all parameters as one vector, zero where there is none."""
        grads = [zeros_like(param) if param.grad is None else param.grad for param in self._params]
        return cat([grad.reshape(-1) for grad in grads])


def _largest(vector: Tensor) -> float:
    return float(amax(vector.abs()))


@tensor_function
def changes(
    gradient: Tensor, before: Tensor, direction: Tensor, length: Tensor | float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How the gradient changed, the step that was taken, and their product; and the first's square."""
    change, step = gradient - before, direction * length
    return change, step, total(change * step), total(change * change)


@tensor_function
def direction_of(
    gradient: Tensor, changed: Tensor, steps: Tensor, inverses: Tensor, diagonal: Tensor | float
) -> Tensor:
    """-H g by the recursion of two loops (Nocedal and Wright, 2006, algorithm 7.4).

    `changed` and `steps` are (m, n), the oldest first, and `inverses` their products' reciprocals, (m,).
    """

    def back(q: Tensor, row: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        change, step, inverse = row
        weight = total(step * q) * inverse
        return q - change * weight, weight

    def forth(r: Tensor, row: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, None]:
        change, step, inverse, weight = row
        return r + step * (weight - total(change * r) * inverse), None

    q, weights = scan(back, -gradient, (changed, steps, inverses), reverse=True)
    r, _ = scan(forth, q * diagonal, (changed, steps, inverses, weights))
    return r
