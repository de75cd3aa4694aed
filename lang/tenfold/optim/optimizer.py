"""`Optimizer`: the base of all optimisers: groups of parameters, the state of each parameter, and their dicts.

An optimiser's update is one program for each group: it computes the new parameters and states from the old ones, the
gradients and the group's numbers, and is compiled at the first step.
"""

from __future__ import annotations

import copy
import itertools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from tenfold.autograd import enable_grad, no_grad
from tenfold.changes import change
from tenfold.construction import tensor
from tenfold.lazy.graph import GRAPH
from tenfold.nn.modules.hooks import RemovableHandle, registered
from tenfold.nn.modules.state import tensor_of
from tenfold.optim.parameter_group import ParameterGroup
from tenfold.specs import float32
from tenfold.tensor import Tensor
from tenfold.tracing import is_tracing
from tenfold.warning import warn
from tenfold_rt.errors import ArgumentError, DTypeError, UnsupportedError

Params: TypeAlias = "Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]"
Closure: TypeAlias = Callable[[], Any]
States: TypeAlias = "list[dict[str, Tensor]]"


class Optimizer:
    """`param_groups`, a list of dicts, and `state`, a dict of tensors for each parameter."""

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise DTypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {type(params).__name__}"
            )
        if defaults.get("differentiable"):
            raise UnsupportedError("an optimiser's step has no gradient", mend="leave out differentiable=True")
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[ParameterGroup] = []
        self._before: OrderedDict[int, Any] = OrderedDict()
        self._after: OrderedDict[int, Any] = OrderedDict()
        given: list[Any] = list(params)
        if not given:
            raise ArgumentError("optimizer got an empty parameter list")
        for group in given if isinstance(given[0], dict) else [{"params": given}]:
            self.add_param_group(cast("dict[str, Any]", group))
        settle()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a dict of `params` and of the settings that are not the defaults."""
        group = ParameterGroup(param_group)
        params: Any = group["params"]
        if isinstance(params, set):
            raise DTypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in "
                "sets will change between runs. Please use a list instead."
            )
        listed: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if listed and all(isinstance(param, tuple) for param in listed):
            group["param_names"] = [name for name, _ in listed]
            listed = [param for _, param in listed]
        group["params"] = listed
        for param in listed:
            self._require_trainable(param)
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        own = {id(param) for param in listed}
        if len(own) < len(listed):
            warn("optimizer contains a parameter group with duplicate parameters, which each step changes twice")
        known = {id(param) for other in self.param_groups for param in other["params"]}
        if known & own:
            raise ArgumentError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def _require_trainable(self, param: object) -> None:
        if not isinstance(param, Tensor):
            raise DTypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
        if not param.is_leaf:
            raise ArgumentError("can't optimize a non-leaf Tensor")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or make them zero."""
        settle()
        for param in self._params():
            if set_to_none:
                param.grad = None  # unread, so that a compiled step serves whether there was one or not
            elif param.grad is not None:
                param.grad.detach_()
                param.grad.zero_()

    def _params(self) -> Iterable[Tensor]:
        return itertools.chain.from_iterable(group["params"] for group in self.param_groups)

    # Steps

    def step(self, closure: Closure | None = None) -> Any:
        """Change all parameters that have gradients; `closure` computes them first, and its result is given."""
        for hook in list(self._before.values()):
            hook.function(self, () if closure is None else (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        settle()
        with no_grad():
            for group in self.param_groups:
                for params in _each_once(param for param in group["params"] if param.grad is not None):
                    self._update(group, params)
            settle()
        for hook in list(self._after.values()):
            hook.function(self, () if closure is None else (closure,), {})
        return loss

    def _update(self, group: ParameterGroup, params: list[Tensor]) -> None:
        """Change `params` of `group`, each of which has a gradient, and their states."""
        raise NotImplementedError

    def _begin(self, param: Tensor, group: ParameterGroup) -> dict[str, Tensor]:
        """The state of `param` before its first step."""
        raise NotImplementedError

    def _states(self, group: ParameterGroup, params: list[Tensor]) -> States:
        """The states of `params`; those that have none begin."""
        fresh = [param for param in params if not self.state.get(param)]
        for param in fresh:
            self.state[param].update(self._begin(param, group))
        if fresh:
            settle()
        return [self.state[param] for param in params]

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        return registered(self._before, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return registered(self._after, hook)

    # State

    def state_dict(self) -> dict[str, Any]:
        """`state`, by the positions of the parameters, and `param_groups` with positions for parameters."""
        positions = {id(param): place for place, param in enumerate(self._params())}
        groups = [
            {
                **{name: value for name, value in group.items() if name != "params"},
                "params": [positions[id(param)] for param in group["params"]],
            }
            for group in self.param_groups
        ]
        state = {positions[id(param)]: value for param, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict`, which may be PyTorch's; what it holds is copied."""
        groups: list[Mapping[str, Any]] = state_dict["param_groups"]
        if len(groups) != len(self.param_groups):
            raise ArgumentError("loaded state dict has a different number of parameter groups")
        pairs = list(zip(groups, self.param_groups, strict=True))
        if any(len(given["params"]) != len(own["params"]) for given, own in pairs):
            raise ArgumentError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        labels = itertools.chain.from_iterable(group["params"] for group in groups)
        params = dict(zip(labels, self._params(), strict=True))
        self.state.clear()
        for label, state in state_dict["state"].items():
            param = params[label]
            self.state[param] = {name: _loaded(name, value, param) for name, value in state.items()}
        for given, own in pairs:
            for name, value in given.items():
                if name != "params":
                    own[name] = copy.deepcopy(value)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _before=OrderedDict(), _after=OrderedDict())

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for place, group in enumerate(self.param_groups):
            text += f"\nParameter Group {place}\n"
            text += "".join(f"    {name}: {group[name]}\n" for name in sorted(group) if name != "params")
        return text + ")"


def _loaded(name: str, value: Any, param: Tensor) -> Any:
    """A copy of a state's `value`: tensors in the parameter's element type, but for counts of steps."""
    if not isinstance(value, Tensor) and not hasattr(value, "detach") and not hasattr(value, "__array__"):
        return copy.deepcopy(value)
    copied = tensor_of(value).to(param.device, copy=True)
    return copied if name == "step" or not param.is_floating_point() else copied.to(param.dtype)


def settle() -> None:
    """Compute all that is recorded, so that what comes next is compiled apart from what went before.

    Thus the programs of a loop's first turn, in which tensors made before the loop are computed too, are those of all
    turns.
    """
    if not is_tracing():
        GRAPH.run()


def step_count(param: Tensor) -> Tensor:
    """The number of steps before the first one of `param`; f32, as PyTorch's."""
    return tensor(0.0, dtype=float32, device=param.device)


def overwrite(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Let parameters have new values."""
    for target, value in zip(targets, values, strict=True):
        replaced(target, value)


def overwrite_states(targets: States, values: States) -> None:
    """Let states have new values."""
    for target, value in zip(targets, values, strict=True):
        for name, new in value.items():
            replaced(target[name], new)


def replaced(tensor: Tensor, value: Tensor) -> Tensor:
    """`tensor`, changed in place to `value`, which nothing else refers to: it need not be copied."""
    return change(tensor, lambda: value, "step")


def gradients(params: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of parameters that have them."""
    return [param.grad for param in params if param.grad is not None]


def require_at_least_zero(**numbers: Any) -> None:
    """`ArgumentError` where one of the numbers, named as its message calls it, is negative."""
    for name, value in numbers.items():
        if not value >= 0.0:
            raise ArgumentError(f"Invalid {name.replace('__', ' ')}: {value}")


def _each_once(params: Iterable[Tensor]) -> list[list[Tensor]]:
    """`params` in lists that have each of them once: the second list those that are there twice."""
    lists: list[list[Tensor]] = []
    times: defaultdict[int, int] = defaultdict(int)
    for param in params:
        if times[id(param)] == len(lists):
            lists.append([])
        lists[times[id(param)]].append(param)
        times[id(param)] += 1
    return lists


def require_betas(betas: Sequence[Any]) -> None:
    """`ArgumentError` where a coefficient of a running average is not in [0, 1)."""
    for place, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ArgumentError(f"Invalid beta parameter at index {place}: {beta}")
