"""Pytrees: taking apart, putting back, names of leaves."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from tenfold.tree import describe, flatten, names, unflatten


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass(frozen=True)
class Layer:
    weight: Any
    bias: Any
    activation: str = field(default="relu", metadata={"static": True})


TREES = [
    1,
    (1, 2),
    [1, (2, 3)],
    {"b": 1, "a": 2},
    OrderedDict([("b", 1), ("a", 2)]),
    Pair(1, [2]),
    Layer(1, {"x": 2}),
    (None, 1),
    (),
    {},
]


@pytest.mark.parametrize("value", TREES, ids=str)
def test_unflatten_puts_back_what_flatten_took_apart(value) -> None:
    leaves, tree = flatten(value)
    back = unflatten(tree, leaves)
    assert back == value
    assert type(back) is type(value)


def test_dicts_of_equal_keys_have_equal_trees_and_leaf_orders() -> None:
    first, second = flatten({"b": 1, "a": 2}), flatten({"a": 2, "b": 1})
    assert first == second
    assert hash(first[1]) == hash(second[1])


def test_a_dict_keeps_its_insertion_order() -> None:
    leaves, tree = flatten({"b": 1, "a": 2})
    assert list(unflatten(tree, leaves)) == ["b", "a"]


def test_static_fields_belong_to_the_tree() -> None:
    (leaves, relu), (_, tanh) = flatten(Layer(1, 2)), flatten(Layer(1, 2, "tanh"))
    assert leaves == [1, 2]
    assert relu != tanh


def test_a_list_and_a_tuple_differ() -> None:
    assert flatten([1])[1] != flatten((1,))[1]


def test_names_say_how_to_reach_a_leaf() -> None:
    _, tree = flatten({"w": [1, 2], "layer": Layer(1, (2,)), 3: 4})
    assert sorted(names(tree, "p")) == ["p.layer.bias[0]", "p.layer.weight", "p.w[0]", "p.w[1]", "p[3]"]


def test_a_lone_leaf_is_called_by_the_prefix() -> None:
    assert names(flatten(1)[1], "x") == ["x"]


def test_too_many_leaves_are_refused() -> None:
    with pytest.raises(ValueError, match="more leaves"):
        unflatten(flatten((1,))[1], [1, 2])


def test_is_leaf_stops_the_taking_apart() -> None:
    assert flatten([(1, 2), 3], lambda value: isinstance(value, tuple))[0] == [(1, 2), 3]


def test_describe_shows_the_structure() -> None:
    assert describe(flatten({"w": (1,), "b": [2, None]})[1]) == "{'w': (*,), 'b': [*, None]}"
