"""Recurrent networks: layers over whole sequences, and cells for single steps."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, TypeAlias

from tenfold.functions.creation import zeros
from tenfold.nn import functional as F  # noqa: N812 - PyTorch's name
from tenfold.nn import init
from tenfold.nn.modules.module import Module
from tenfold.nn.parameter import Parameter
from tenfold.tensor import Tensor
from tenfold.tracing import here
from tenfold_rt.errors import ArgumentError, ShapeError

Nonlinearity: TypeAlias = Literal["tanh", "relu"]


class RNNBase(Module):
    """Layers of recurrent steps, in one or both directions, over (L, N, I), (N, L, I) if `batch_first`, or (L, I).

    The weights of layer k are `weight_ih_lk` (gates H, I), `weight_hh_lk` (gates H, H) and two biases, those of the
    direction from the end with the suffix `_reverse`; all begin uniform within 1 / sqrt(H) of 0.
    """

    gates: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ArgumentError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if hidden_size <= 0 or num_layers <= 0:
            name = "hidden_size" if hidden_size <= 0 else "num_layers"
            raise ShapeError(f"{name} must be greater than zero")
        if not 0 <= proj_size < hidden_size:
            raise ShapeError("proj_size should be a positive integer smaller than hidden_size, or zero to disable")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        for layer in range(num_layers):
            for suffix in self._suffixes():
                self._add_weights(layer, suffix, {"device": device, "dtype": dtype})
        self.reset_parameters()

    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _width(self) -> int:
        return self.proj_size or self.hidden_size

    def _add_weights(self, layer: int, suffix: str, made: dict[str, Any]) -> None:
        rows, width = self.gates * self.hidden_size, self._width()
        columns = self.input_size if layer == 0 else width * len(self._suffixes())
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, width)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for name, shape in shapes.items():
            setattr(self, f"{name}_l{layer}{suffix}", Parameter(zeros(shape, **made)))

    def reset_parameters(self) -> None:
        """Draw new parameters."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: the weights need no particular place in memory."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        places = [f"_l{layer}{suffix}" for layer in range(self.num_layers) for suffix in self._suffixes()]
        return [[getattr(self, name + place) for name in names if hasattr(self, name + place)] for place in places]

    def _initial(self, input: Tensor, hx: tuple[Tensor, ...] | None, names: tuple[str, ...]) -> tuple[Tensor, ...]:
        """The states before the first step: zeros, or those given; `ShapeError` where they or the input do not fit."""
        batched = self._require_input(input)
        examples = (input.shape[0 if self.batch_first else 1],) if batched else ()
        layers = self.num_layers * len(self._suffixes())
        expected = [(layers, *examples, width) for width in (self._width(), self.hidden_size)[: len(names)]]
        if hx is None:
            return tuple(zeros(shape, dtype=input.dtype, device=input.device) for shape in expected)
        for name, state, shape in zip(names, hx, expected, strict=True):
            if tuple(state.shape) != shape:
                raise ShapeError(f"Expected {name} size {shape}, got {list(state.shape)}")
        return hx

    def _settings(self) -> tuple[Any, ...]:
        """What the functions of `nn.functional` take after the weights."""
        settings = (self.num_layers, self.dropout, self.training, self.bidirectional, self.batch_first)
        return (self.bias, *settings)

    def _weights(self) -> list[Parameter]:
        return [parameter for place in self.all_weights for parameter in place]

    def _require_input(self, input: Tensor) -> bool:
        """Whether there is an axis of examples."""
        if input.ndim not in (2, 3):
            raise ShapeError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.ndim}D instead", where=here()
            )
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}",
                where=here(),
            )
        return input.ndim == 3

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        settings = (
            ("proj_size", self.proj_size, 0),
            ("num_layers", self.num_layers, 1),
            ("bias", self.bias, True),
            ("batch_first", self.batch_first, False),
            ("dropout", self.dropout, 0),
            ("bidirectional", self.bidirectional, False),
        )
        parts += [f"{name}={value}" for name, value, default in settings if value != default]
        return ", ".join(parts)


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Nonlinearity = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._require_known(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity: Nonlinearity = nonlinearity

    @staticmethod
    def _require_known(nonlinearity: str) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The last layer's states at all steps, and each layer's last state, (layers directions, N, H)."""
        (state,) = self._initial(input, None if hx is None else (hx,), ("hx",))
        run = F.rnn_tanh if self.nonlinearity == "tanh" else F.rnn_relu
        return run(input, state, self._weights(), *self._settings())


class LSTM(RNNBase):
    """Long short-term memory; the state is a pair (h, c), h of width `proj_size` where that is not 0."""

    gates = 4

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )

    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The last layer's states at all steps, and the last state and cell of each layer."""
        states = self._initial(input, hx, ("hidden[0]", "hidden[1]"))
        result, last, cell = F.lstm(input, states, self._weights(), *self._settings())
        return result, (last, cell)


class GRU(RNNBase):
    """The gated recurrent unit, whose reset gate acts on the product with the state."""

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The last layer's states at all steps, and each layer's last state, (layers directions, N, H)."""
        (state,) = self._initial(input, None if hx is None else (hx,), ("hx",))
        return F.gru(input, state, self._weights(), *self._settings())


class RNNCellBase(Module):
    """The weights of one recurrent step on (N, I) or (I,)."""

    gates: ClassVar[int] = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        if hidden_size <= 0:
            raise ShapeError("hidden_size must be greater than zero")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        made, rows = {"device": device, "dtype": dtype}, self.gates * hidden_size
        self.weight_ih = Parameter(zeros(rows, input_size, **made))
        self.weight_hh = Parameter(zeros(rows, hidden_size, **made))
        self.bias_ih = Parameter(zeros(rows, **made)) if bias else None
        self.bias_hh = Parameter(zeros(rows, **made)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new parameters, uniform within 1 / sqrt(H) of 0."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _state(self, input: Tensor, hx: Tensor | None) -> Tensor:
        if input.ndim not in (1, 2):
            raise ShapeError(
                f"{type(self).__name__}: Expected input to be 1D or 2D, got {input.ndim}D instead", where=here()
            )
        return (
            zeros((*input.shape[:-1], self.hidden_size), dtype=input.dtype, device=input.device) if hx is None else hx
        )

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(RNNCellBase):
    """One step of `RNN`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Nonlinearity = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity: Nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"Unknown nonlinearity: {self.nonlinearity}")
        run = F.rnn_tanh_cell if self.nonlinearity == "tanh" else F.rnn_relu_cell
        return run(input, self._state(input, hx), *self._weights())

    def extra_repr(self) -> str:
        shown = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + shown


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: the next (h, c)."""

    gates = 4

    def forward(
        self,
        input: Tensor,
        hx: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        h, c = (None, None) if hx is None else hx
        return F.lstm_cell(input, (self._state(input, h), self._state(input, c)), *self._weights())


class GRUCell(RNNCellBase):
    """One step of `GRU`."""

    gates = 3

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return F.gru_cell(input, self._state(input, hx), *self._weights())
