"""What modules hold: registration, names, sharing, state dicts, modes, conversions, copies and hooks."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import tenfold as tn
from tenfold import nn
from tenfold_rt.errors import MemberError, StateError


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(3, 1, bias=False))
        self.scale = nn.Parameter(tn.ones(1))
        self.register_buffer("seen", tn.zeros(2))
        self.register_buffer("scratch", tn.zeros(2), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.rest(self.first(x)) * self.scale


def test_members_are_named_by_their_places() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "scale", "first.weight", "first.bias", "rest.1.weight",
    ]  # fmt: skip
    assert [name for name, _ in net.named_buffers(prefix="net")] == ["net.seen", "net.scratch"]
    assert [name for name, _ in net.named_children()] == ["first", "rest"]
    assert [name for name, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale"]
    assert list(net.state_dict()) == ["scale", "seen", "first.weight", "first.bias", "rest.1.weight"]
    assert net.get_submodule("rest.1") is net.rest[1]
    assert net.get_parameter("rest.1.weight") is net.rest[1].weight
    assert net.get_buffer("seen") is net.seen


def test_what_is_shared_is_counted_once_and_saved_twice() -> None:
    net = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    net["b"].weight = net["a"].weight
    assert [name for name, _ in net.named_parameters()] == ["a.weight"]
    assert [name for name, _ in net.named_parameters(remove_duplicate=False)] == ["a.weight", "b.weight"]
    assert list(net.state_dict()) == ["a.weight", "b.weight"]
    tied = copy.deepcopy(net)
    assert tied["b"].weight is tied["a"].weight
    assert tied["a"].weight is not net["a"].weight


def test_attributes_move_between_kinds() -> None:
    net = Net()
    net.scale = None
    assert [name for name, _ in net.named_parameters(recurse=False)] == []
    with pytest.raises(TypeError, match="to parameter"):
        net.scale = tn.ones(1)
    del net.scale
    net.scale = 3
    assert net.scale == 3
    net.first = nn.Identity()
    net.seen = tn.ones(3)
    assert list(net.state_dict()) == ["seen", "rest.1.weight"]
    with pytest.raises(TypeError, match="child module"):
        net.first = 1
    with pytest.raises(AttributeError, match="'Net' object has no attribute 'nothing'"):
        _ = net.nothing
    with pytest.raises(AttributeError, match="no attribute `x`"):
        net.get_submodule("rest.x")


def test_registration_refuses_names_and_values() -> None:
    net = Net()
    for name in ("", "a.b", "forward"):
        with pytest.raises(MemberError):
            net.register_parameter(name, None)
    with pytest.raises(KeyError, match="already exists"):
        net.register_buffer("first", None)
    with pytest.raises(TypeError, match="not a Module subclass"):
        net.add_module("x", 1)

    class Early(nn.Module):
        def __init__(self) -> None:
            self.part = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call"):
        Early()


def test_modes_reach_all_modules() -> None:
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    with pytest.raises(TypeError, match="boolean"):
        net.train(1)


def test_apply_visits_children_first() -> None:
    visited: list[str] = []
    Net().apply(lambda module: visited.append(type(module).__name__))
    assert visited == ["Linear", "ReLU", "Linear", "Sequential", "Net"]


def test_state_goes_from_module_to_module() -> None:
    source, target = Net(), Net()
    assert repr(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    for mine, other in zip(target.parameters(), source.parameters(), strict=True):
        assert np.array_equal(mine.detach().numpy(), other.detach().numpy())
    arrays = {name: value.numpy() + 1 for name, value in source.state_dict().items()}
    target.load_state_dict(arrays)
    assert np.array_equal(target.first.weight.detach().numpy(), arrays["first.weight"])


def test_state_that_does_not_fit_is_refused() -> None:
    net, state = Net(), Net().state_dict()
    del state["seen"]
    state["more"] = tn.ones(1)
    state["first.bias"] = tn.ones(4)
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value) == (
        "Error(s) in loading state_dict for Net:\n"
        '\tMissing key(s) in state_dict: "seen". \n'
        '\tUnexpected key(s) in state_dict: "more". \n'
        "\tsize mismatch for first.bias: copying a param with shape torch.Size([4]) from checkpoint, "
        "the shape in current model is torch.Size([3])."
    )
    state["first.bias"] = tn.ones(3)
    assert net.load_state_dict(state, strict=False) == (["seen"], ["more"])
    with pytest.raises(StateError):
        net.load_state_dict(state)


def test_extra_state_is_saved_and_given_back() -> None:
    class Counting(nn.Module):
        count = 0

        def get_extra_state(self) -> Any:
            return {"count": self.count}

        def set_extra_state(self, state: Any) -> None:
            self.count = state["count"]

    source, target = nn.Sequential(Counting()), nn.Sequential(Counting())
    source[0].count = 3
    assert list(source.state_dict()) == ["0._extra_state"]
    target.load_state_dict(source.state_dict())
    assert target[0].count == 3


def test_conversions_keep_parameters_and_integers() -> None:
    net = nn.BatchNorm1d(2)
    before = net.weight
    net.double()
    assert net.weight is before
    assert [str(value.dtype).split(".")[-1] for value in net.state_dict().values()] == ["float64"] * 4 + ["int64"]
    with pytest.raises(TypeError, match="floating point"):
        net.to(tn.int64)


def test_gradients_are_switched_and_forgotten() -> None:
    net = Net()
    net(tn.ones(4, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(not parameter.grad.numpy().any() for parameter in net.parameters())
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in net.requires_grad_(False).parameters())


def test_copies_and_pickles_are_modules_of_their_own() -> None:
    net = Net()
    x = tn.ones(3, 2)
    expected = net(x).detach().numpy()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other) == repr(net)
        with tn.no_grad():
            for parameter in other.parameters():
                parameter.add_(1.0)
        assert not np.array_equal(other(x).detach().numpy(), expected)
    assert np.array_equal(net(x).detach().numpy(), expected)


def test_rows_of_modules_are_lists() -> None:
    a, b, c, d = nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.GELU()
    row = nn.Sequential(a, b)
    assert row.append(c).extend([d]) is row
    row.insert(1, d)
    assert list(row) == [a, d, b, c, d]
    assert list(row[1:3]) == [d, b]
    assert row[-1] is d
    assert row.pop(0) is a
    del row[0]
    row[0] = a
    assert [name for name, _ in row.named_children()] == ["0", "1", "2"]
    assert list(row) == [a, c, d]
    assert list(row + nn.Sequential(b)) == [a, c, d, b]
    with pytest.raises(IndexError, match="out of range"):
        row[3]
    named = nn.Sequential(OrderedDict(one=a, two=b))
    assert [name for name, _ in named[1:].named_children()] == ["two"]
    listed = nn.ModuleList([a, b])
    listed += [c]
    assert len(listed) == 3
    assert isinstance(listed[:2], nn.ModuleList)
    with pytest.raises(NotImplementedError, match="forward"):
        listed(1)


def test_dicts_of_modules_and_parameters() -> None:
    modules = nn.ModuleDict([("a", nn.ReLU())])
    modules.update({"b": nn.Tanh()})
    assert list(modules) == list(modules.keys()) == ["a", "b"]
    assert "a" in modules
    assert modules.pop("a").__class__ is nn.ReLU
    listed = nn.ParameterList([tn.ones(2), nn.Parameter(tn.zeros(3))])
    listed.append(tn.ones(1))
    assert [name for name, _ in listed.named_parameters()] == ["0", "1", "2"]
    assert len(listed[1:]) == 2
    named = nn.ParameterDict({"x": tn.ones(2)})
    named["y"] = tn.zeros(1)
    assert list(named.state_dict()) == ["x", "y"]
    assert named.get("z", 5) == 5
    del named["x"]
    assert list(named) == ["y"]


def test_forward_hooks_change_arguments_and_results() -> None:
    calls: list[str] = []

    class Double(nn.Module):
        def forward(self, x: float, times: float = 2) -> float:
            calls.append("forward")
            return x * times

    module = Double()
    before = module.register_forward_pre_hook(lambda _, args: args[0] + 1)
    module.register_forward_pre_hook(lambda _, args, kwargs: (args, {"times": 3}), with_kwargs=True)
    after = module.register_forward_hook(lambda _, args, result: result + 0.5)
    module.register_forward_hook(lambda *_: calls.append("first"), prepend=True)
    assert module(1) == 6.5
    assert calls == ["forward", "first"]
    before.remove()
    with after:
        assert module(1) == 3.5
    assert module(1) == 3


def test_hooks_that_are_always_called_see_errors() -> None:
    module, seen = nn.ModuleList(), []
    module.register_forward_hook(lambda *_: seen.append(1), always_call=True)
    with pytest.raises(NotImplementedError):
        module(1)
    assert seen == [1]


def test_backward_hooks_see_and_change_gradients() -> None:
    layer, seen = nn.Linear(2, 1, bias=False), []

    def hook(module: Any, grad_input: Any, grad_output: Any) -> Any:
        seen.append((module, grad_input[0].numpy().copy(), grad_output[0].numpy().copy()))
        return (grad_input[0] * 2,)

    handle = layer.register_full_backward_hook(hook)
    x = tn.ones(3, 2).requires_grad_()
    (layer(x) * 5).sum().backward()
    (module, grad_input, grad_output), weight = seen[0], layer.weight.detach().numpy()
    assert module is layer
    np.testing.assert_allclose(grad_output, np.full((3, 1), 5.0))
    np.testing.assert_allclose(grad_input, 5 * np.repeat(weight, 3, 0), rtol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), 2 * grad_input)
    handle.remove()
    layer(x).sum().backward()
    assert len(seen) == 1
