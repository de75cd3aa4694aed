"""Recurrent networks: single steps, and whole sequences in layers and directions, with the signatures of `torch.lstm`,
`torch.gru`, `torch.rnn_tanh` and `torch.rnn_relu`.

A layer in a direction has weights (w_ih, w_hh), then, if there are any, biases (b_ih, b_hh), then, for an LSTM with
projections, w_hr; `params` holds those of all layers, of each first the forward direction.  The rows of the weights are
those of the gates one after the other: input, forget, cell, output of an LSTM; reset, update, new of a GRU.  A product
of all steps' inputs comes before the loop, which then only adds what the state contributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from tenfold.control.scans import scan
from tenfold.eager import tensor_function
from tenfold.functions.elementwise import sigmoid, tanh
from tenfold.functions.neural import relu
from tenfold.functions.shapes import concatenate, split, stack, swapaxes, unsqueeze
from tenfold.nn.functional.dropouts import dropped
from tenfold.nn.functional.projections import linear
from tenfold.promotion import promoted_floating
from tenfold.random.generator import next_key
from tenfold.random.keys import fold_in
from tenfold.tracing import TensorLike, here, wrap
from tenfold_rt.errors import ArgumentError, ShapeError
from tenfold_rt.frozen import frozen

if TYPE_CHECKING:
    from tenfold.tensor import Tensor

Kind: TypeAlias = Literal["rnn_tanh", "rnn_relu", "lstm", "gru"]
State: TypeAlias = "tuple[Tensor, ...]"

_GATES: dict[Kind, int] = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


@frozen
class _Weights:
    """The weights of one layer in one direction."""

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None
    b_hh: Tensor | None
    w_hr: Tensor | None

    @staticmethod
    def of(kind: Kind, params: Sequence[Tensor], has_biases: bool) -> _Weights:
        w_ih, w_hh, *rest = params
        b_ih, b_hh = (rest[0], rest[1]) if has_biases else (None, None)
        w_hr = rest[2 * has_biases] if len(rest) > 2 * has_biases else None
        weights = _Weights(w_ih, w_hh, b_ih, b_hh, w_hr)
        weights.check(kind)
        return weights

    def check(self, kind: Kind) -> None:
        """`ShapeError` where the weights do not fit one another."""
        rows = self.w_hh.shape[0] if self.w_hh.ndim == 2 else -1
        state = rows // _GATES[kind] if self.w_hr is None else self.w_hr.shape[0]
        if rows % _GATES[kind] or self.w_ih.shape[:1] != (rows,) or self.w_hh.shape[1:] != (state,):
            raise ShapeError(
                f"{kind}: weights {self.w_ih.tensor_type} (input) and {self.w_hh.tensor_type} (state) do not have "
                f"{_GATES[kind]} gates of one size",
                where=here(),
            )
        for bias in (self.b_ih, self.b_hh):
            if bias is not None and bias.shape != (rows,):
                raise ShapeError(f"{kind}: bias {bias.tensor_type} is not of shape ({rows},)", where=here())

    def of_inputs(self, kind: Kind, x: Tensor) -> Tensor:
        """What the inputs contribute to the gates, with all biases that need not wait for the state."""
        if x.shape[-1] != self.w_ih.shape[1]:
            raise ShapeError(
                f"{kind}: input has {x.shape[-1]} features, but the weights are for {self.w_ih.shape[1]}", where=here()
            )
        if self.b_ih is None or self.b_hh is None:
            return linear(x, self.w_ih)
        return linear(x, self.w_ih, self.b_ih if kind == "gru" else self.b_ih + self.b_hh)


def _step(kind: Kind, weights: _Weights, state: State, gates: Tensor) -> State:
    """The next state, from the present one and what the input contributes to the gates."""
    if kind == "gru":
        return _gru_step(weights, state[0], gates)
    gates = gates + linear(state[0], weights.w_hh)
    if kind == "lstm":
        return _lstm_step(weights, state[1], gates)
    return (tanh(gates) if kind == "rnn_tanh" else relu(gates),)


def _lstm_step(weights: _Weights, cell: Tensor, gates: Tensor) -> State:
    """c' = sigmoid(f) c + sigmoid(i) tanh(g); h' = sigmoid(o) tanh(c') (Hochreiter and Schmidhuber, 1997)."""
    i, f, g, o = split(gates, gates.shape[-1] // 4, -1)
    cell = sigmoid(f) * cell + sigmoid(i) * tanh(g)
    hidden = sigmoid(o) * tanh(cell)
    return (hidden if weights.w_hr is None else linear(hidden, weights.w_hr)), cell


def _gru_step(weights: _Weights, hidden: Tensor, gates: Tensor) -> State:
    """n = tanh(x_n + sigmoid(r) h_n); h' = n + sigmoid(z) (h - n) (Cho et al., 2014, as cuDNN has it)."""
    of_state = linear(hidden, weights.w_hh, weights.b_hh)
    size = hidden.shape[-1]
    (x_r, x_z, x_n), (h_r, h_z, h_n) = split(gates, size, -1), split(of_state, size, -1)
    new = tanh(x_n + sigmoid(x_r + h_r) * h_n)
    return (new + sigmoid(x_z + h_z) * (hidden - new),)


def _direction(kind: Kind, weights: _Weights, x: Tensor, state: State, reverse: bool) -> tuple[Tensor, State]:
    """The outputs of all steps (time first), and the last state."""

    def turn(carry: State, gates: Tensor) -> tuple[State, Tensor]:
        after = _step(kind, weights, carry, gates)
        return after, after[0]

    last, outputs = scan(turn, state, weights.of_inputs(kind, x), reverse=reverse)
    return outputs, last


@tensor_function
def _layers(
    kind: Kind,
    input: TensorLike,
    hx: Sequence[TensorLike],
    params: Sequence[TensorLike],
    key: TensorLike | None,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    values = [wrap(each) for each in promoted_floating(input, *hx, *params)]
    x, states, weights = values[0], values[1 : 1 + len(hx)], values[1 + len(hx) :]
    directions = 2 if bidirectional else 1
    per_direction = len(weights) // max(num_layers * directions, 1)
    if per_direction * num_layers * directions != len(weights) or not 2 + 2 * has_biases <= per_direction:
        raise ArgumentError(
            f"{kind}: {len(weights)} weights for {num_layers} layers in {directions} directions", where=here()
        )
    x, states, single = _batched(kind, x, states, batch_first)
    _check_states(kind, x, states, num_layers * directions)
    finals: list[State] = []
    for layer in range(num_layers):
        if layer and key is not None:
            x = dropped(x, fold_in(key, layer), dropout)
        outputs: list[Tensor] = []
        for direction in range(directions):
            number = layer * directions + direction
            own = _Weights.of(kind, weights[number * per_direction : (number + 1) * per_direction], has_biases)
            output, last = _direction(kind, own, x, tuple(each[number] for each in states), direction == 1)
            outputs.append(output)
            finals.append(last)
        x = outputs[0] if directions == 1 else concatenate(outputs, -1)
    ends = [stack([final[part] for final in finals]) for part in range(len(states))]
    if single:
        return x[:, 0], *(each[:, 0] for each in ends)
    return (swapaxes(x, 0, 1) if batch_first else x), *ends


def _batched(kind: Kind, x: Tensor, states: list[Tensor], batch_first: bool) -> tuple[Tensor, list[Tensor], bool]:
    """Time first, then the batch, and whether there was none."""
    if x.ndim not in (2, 3) or any(each.ndim != x.ndim for each in states):
        kinds = " and ".join(str(each.tensor_type) for each in states)
        raise ShapeError(
            f"{kind}: input {x.tensor_type} and states {kinds} must have three axes, or two without a batch",
            where=here(),
        )
    if x.ndim == 2:
        return unsqueeze(x, 1), [unsqueeze(each, 1) for each in states], True
    return (swapaxes(x, 0, 1) if batch_first else x), states, False


def _check_states(kind: Kind, x: Tensor, states: Sequence[Tensor], number: int) -> None:
    for each in states:
        if each.shape[:2] != (number, x.shape[1]):
            raise ShapeError(
                f"{kind}: state {each.tensor_type} is not ({number}, {x.shape[1]}, features): "
                "one per layer and direction, "
                "for each example",
                where=here(),
            )


def _run(
    kind: Kind,
    input: TensorLike,
    hx: Sequence[TensorLike],
    params: Sequence[TensorLike],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    if not 0 <= dropout <= 1:
        raise ArgumentError(f"{kind}: dropout is {dropout}, but must be between 0 and 1", where=here())
    key = next_key(like=input) if train and dropout and num_layers > 1 else None
    arguments = (has_biases, num_layers, float(dropout), bidirectional, batch_first)
    return _layers(kind, input, tuple(hx), tuple(params), key, *arguments)


def lstm(
    input: TensorLike,
    hx: Sequence[TensorLike],
    params: Sequence[TensorLike],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Long short-term memory over sequences (time, batch, features): the last layer's outputs, and the last states.

    `hx` holds the first hidden and cell states, each (layers x directions, batch, features).  `batch_first` exchanges
    the first two axes of input and outputs; without a batch, tensors lack its axis.  While `train`, the inputs of all
    layers but the first are dropped with probability `dropout`.  `ShapeError` where shapes do not fit.
    """
    if len(hx) != 2:
        raise ArgumentError(f"lstm: hx holds {len(hx)} states instead of 2", where=here())
    output, hidden, cell = _run(
        "lstm", input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, hidden, cell


def gru(
    input: TensorLike,
    hx: TensorLike,
    params: Sequence[TensorLike],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """A gated recurrent unit over sequences; `hx` is the first hidden state; see `lstm`."""
    output, hidden = _run(
        "gru", input, (hx,), params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, hidden


def rnn_tanh(
    input: TensorLike,
    hx: TensorLike,
    params: Sequence[TensorLike],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """h' = tanh(W x + U h + biases) over sequences (Elman, 1990); `hx` is the first hidden state; see `lstm`."""
    output, hidden = _run(
        "rnn_tanh", input, (hx,), params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, hidden


def rnn_relu(
    input: TensorLike,
    hx: TensorLike,
    params: Sequence[TensorLike],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    """h' = relu(W x + U h + biases) over sequences; `hx` is the first hidden state; see `lstm`."""
    output, hidden = _run(
        "rnn_relu", input, (hx,), params, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )
    return output, hidden


@tensor_function
def _cell(
    kind: Kind, input: TensorLike, hx: Sequence[TensorLike], params: Sequence[TensorLike], has_biases: bool
) -> tuple[Tensor, ...]:
    x, *rest = (wrap(each) for each in promoted_floating(input, *hx, *params))
    states, weights = rest[: len(hx)], _Weights.of(kind, rest[len(hx) :], has_biases)
    for state in states:
        if state.ndim != x.ndim or x.ndim not in (1, 2) or state.shape[:-1] != x.shape[:-1]:
            raise ShapeError(f"{kind}: state {state.tensor_type} does not fit input {x.tensor_type}", where=here())
    return _step(kind, weights, tuple(states), weights.of_inputs(kind, x))


def _given(*params: TensorLike | None) -> tuple[TensorLike, ...]:
    return tuple(each for each in params if each is not None)


def lstm_cell(
    input: TensorLike,
    hx: Sequence[TensorLike],
    w_ih: TensorLike,
    w_hh: TensorLike,
    b_ih: TensorLike | None = None,
    b_hh: TensorLike | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM for inputs (batch, features), or (features,): the next hidden and cell states."""
    hidden, cell = _cell("lstm", input, tuple(hx), _given(w_ih, w_hh, b_ih, b_hh), b_ih is not None)
    return hidden, cell


def gru_cell(
    input: TensorLike,
    hx: TensorLike,
    w_ih: TensorLike,
    w_hh: TensorLike,
    b_ih: TensorLike | None = None,
    b_hh: TensorLike | None = None,
) -> Tensor:
    """One step of a GRU: the next hidden state; see `lstm_cell`."""
    return _cell("gru", input, (hx,), _given(w_ih, w_hh, b_ih, b_hh), b_ih is not None)[0]


def rnn_tanh_cell(
    input: TensorLike,
    hx: TensorLike,
    w_ih: TensorLike,
    w_hh: TensorLike,
    b_ih: TensorLike | None = None,
    b_hh: TensorLike | None = None,
) -> Tensor:
    """tanh(W x + U h + biases): the next hidden state; see `lstm_cell`."""
    return _cell("rnn_tanh", input, (hx,), _given(w_ih, w_hh, b_ih, b_hh), b_ih is not None)[0]


def rnn_relu_cell(
    input: TensorLike,
    hx: TensorLike,
    w_ih: TensorLike,
    w_hh: TensorLike,
    b_ih: TensorLike | None = None,
    b_hh: TensorLike | None = None,
) -> Tensor:
    """relu(W x + U h + biases): the next hidden state; see `lstm_cell`."""
    return _cell("rnn_relu", input, (hx,), _given(w_ih, w_hh, b_ih, b_hh), b_ih is not None)[0]
