"""Layers with PyTorch's weights give PyTorch's results, gradients and buffers; weights go there and back."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import tenfold as tn

torch = pytest.importorskip("torch")

# A layer, and the shapes of its arguments.
LAYERS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("Linear(5, 3)", ((2, 4, 5),)),
    ("Bilinear(2, 3, 4)", ((5, 2), (5, 3))),
    ("Conv1d(4, 6, 3, padding=1, groups=2)", ((2, 4, 7),)),
    ("Conv2d(2, 3, (3, 2), stride=2, padding='valid', dilation=(1, 2))", ((2, 2, 7, 8),)),
    ("Conv2d(2, 3, 3, padding=1, padding_mode='reflect')", ((2, 2, 5, 6),)),
    ("ConvTranspose1d(2, 3, 3, stride=2, output_padding=1)", ((2, 2, 5),)),
    ("ConvTranspose2d(2, 4, 3, stride=2, padding=1, groups=2)", ((1, 2, 4, 5),)),
    ("MaxPool1d(3, 2)", ((2, 3, 9),)),
    ("MaxPool2d(2, 2, ceil_mode=True)", ((2, 3, 5, 7),)),
    ("AvgPool1d(2)", ((2, 3, 9),)),
    ("AvgPool2d(3, 2, padding=1, count_include_pad=False)", ((2, 3, 5, 7),)),
    ("AdaptiveAvgPool1d(3)", ((2, 3, 8),)),
    ("AdaptiveAvgPool2d((2, None))", ((2, 3, 5, 4),)),
    ("AdaptiveMaxPool2d(2)", ((2, 3, 5, 4),)),
    ("BatchNorm1d(3)", ((6, 3),)),
    ("BatchNorm1d(3, momentum=None, bias=False)", ((6, 3, 4),)),
    ("BatchNorm2d(3, affine=False)", ((4, 3, 2, 5),)),
    ("BatchNorm2d(3, track_running_stats=False)", ((4, 3, 2, 5),)),
    ("BatchNorm2d(3).eval()", ((4, 3, 2, 5),)),
    ("InstanceNorm1d(3)", ((3, 8),)),
    ("InstanceNorm2d(3, affine=True, track_running_stats=True)", ((2, 3, 4, 4),)),
    ("LayerNorm((3, 4))", ((2, 3, 4),)),
    ("GroupNorm(2, 4)", ((2, 4, 3),)),
    ("RMSNorm(4)", ((3, 4),)),
    ("LocalResponseNorm(2)", ((2, 4, 3, 3),)),
    ("Dropout(0.3).eval()", ((3, 4),)),
    ("Dropout(0.0)", ((3, 4),)),
    ("Flatten()", ((2, 3, 4),)),
    ("Unflatten(1, (2, -1))", ((2, 6),)),
    ("PReLU(3)", ((2, 3, 4),)),
    ("GLU()", ((2, 6),)),
    ("Softmax(1)", ((2, 3),)),
    ("Softmax2d()", ((2, 3, 4, 4),)),
    ("Sequential(*[nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.ELU(), nn.CELU(), nn.SELU(), nn.GELU()])", ((4, 5),)),
    ("Sequential(*[nn.Hardtanh(), nn.Mish(), nn.SiLU(), nn.Softplus(), nn.Softsign(), nn.Tanhshrink()])", ((4, 5),)),
    ("Sequential(*[nn.Hardswish(), nn.Hardsigmoid(), nn.Sigmoid(), nn.LogSigmoid(), nn.Tanh()])", ((4, 5),)),
    ("Sequential(nn.Softshrink(0.1), nn.Hardshrink(0.2), nn.Threshold(0.1, 2.0), nn.Softmin(1))", ((4, 5),)),
    ("Upsample(scale_factor=2)", ((1, 2, 3, 4),)),
    ("PixelShuffle(2)", ((1, 4, 2, 3),)),
    ("Sequential(nn.ZeroPad2d(1), nn.ConstantPad2d((0, 1, 2, 0), 0.5), nn.ReflectionPad2d(1))", ((1, 2, 3, 4),)),
    ("CosineSimilarity()", ((3, 4), (3, 4))),
    ("PairwiseDistance()", ((3, 4), (3, 4))),
    ("RNNCell(3, 4, nonlinearity='relu')", ((2, 3), (2, 4))),
    ("GRUCell(3, 4)", ((3,),)),
    ("MSELoss()", ((3, 4), (3, 4))),
    ("HuberLoss(delta=0.5)", ((3, 4), (3, 4))),
]


def built(nn: Any, text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return eval(f"nn.{text}", {"nn": nn})


def drawn(shapes: tuple[tuple[int, ...], ...], seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def flat(result: Any) -> list[Any]:
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in flat(part)]
    return [] if result is None else [result]


def run(library: Any, layer: Any, arrays: list[np.ndarray], **settings: Any) -> dict[str, np.ndarray]:
    """Results, gradients of a weighted sum of them, and buffers, by name."""
    arguments = [library.tensor(array, requires_grad=True) for array in arrays]
    results = flat(layer(*arguments, **settings))
    total = sum((part * library.cos(part.detach() * 3)).sum() for part in results)
    total.backward()
    found = {f"result {place}": part for place, part in enumerate(results)}
    found |= {f"gradient of argument {place}": argument.grad for place, argument in enumerate(arguments)}
    found |= {f"gradient of {name}": parameter.grad for name, parameter in layer.named_parameters()}
    found |= dict(layer.named_buffers())
    return {name: value.detach().numpy() for name, value in found.items() if value is not None}


def assert_agree(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], tolerance: float = 2e-5) -> None:
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        assert ours[name].dtype == value.dtype, name
        np.testing.assert_allclose(ours[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


# These alone run each time: the others differ from functions of `nn.functional`, which have tests, by little.
QUICK = ("Linear", "Conv2d(2, 3, 3", "BatchNorm1d(3, momentum", "InstanceNorm2d", "Sequential(*[nn.ReLU", "Unflatten")


def sampled(text: str, *rest: Any, quick: bool) -> Any:
    return pytest.param(text, *rest, marks=[] if quick else pytest.mark.slow, id=text)


@pytest.mark.parametrize(
    ("text", "shapes"), [sampled(text, shapes, quick=text.startswith(QUICK)) for text, shapes in LAYERS]
)
def test_results_gradients_and_buffers_are_those_of_pytorch(text: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    theirs, ours = built(torch.nn, text), built(tn.nn, text)
    assert ours.load_state_dict(theirs.state_dict()) == ([], [])
    arrays = drawn(shapes, seed=len(text))
    assert_agree(run(tn, ours, arrays), run(torch, theirs, arrays))


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        sampled("RNN(3, 4, 2, bidirectional=True)", ((5, 2, 3), (4, 2, 4)), quick=False),
        sampled("RNN(3, 4, nonlinearity='relu', bias=False, batch_first=True)", ((2, 5, 3),), quick=False),
        sampled("GRU(3, 4, 2, batch_first=True, bidirectional=True)", ((2, 5, 3),), quick=False),
        sampled("GRU(3, 4)", ((5, 3), (1, 4)), quick=True),
    ],
)
def test_recurrent_layers_are_those_of_pytorch(text: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    theirs, ours = built(torch.nn, text), built(tn.nn, text)
    ours.load_state_dict(theirs.state_dict())
    arrays = drawn(shapes, seed=1)
    assert_agree(run(tn, ours, arrays), run(torch, theirs, arrays))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize(
    "text",
    [
        sampled("LSTM(3, 4, 2, bidirectional=True)", quick=False),
        sampled("LSTM(3, 4, proj_size=2)", quick=False),
        sampled("LSTMCell(3, 4)", quick=True),
    ],
)
def test_long_short_term_memory_is_that_of_pytorch(text: str) -> None:
    class WithStates:
        """The states as arguments of their own, which gather gradients."""

        def __init__(self, layer: Any) -> None:
            self.layer = layer
            self.named_parameters, self.named_buffers = layer.named_parameters, layer.named_buffers

        def __call__(self, x: Any, h: Any, c: Any) -> Any:
            return self.layer(x, (h, c))

    theirs, ours = built(torch.nn, text), built(tn.nn, text)
    ours.load_state_dict(theirs.state_dict())
    shapes = ((2, 3), (2, 4), (2, 4)) if "Cell" in text else ((5, 2, 3), (4, 2, 4), (4, 2, 4))
    if "proj" in text:
        shapes = ((5, 2, 3), (1, 2, 2), (1, 2, 4))
    arrays = drawn(shapes, seed=2)
    assert_agree(run(tn, WithStates(ours), arrays), run(torch, WithStates(theirs), arrays))


ATTENTIONS: list[tuple[str, tuple[tuple[int, ...], ...], str]] = [
    ("MultiheadAttention(4, 2)", ((5, 3, 4), (6, 3, 4), (6, 3, 4)), ""),
    ("MultiheadAttention(4, 2, batch_first=True)", ((3, 5, 4),) * 3, "padding causal"),
    ("MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True)", ((5, 3, 4), (6, 3, 4), (6, 3, 4)), "padding"),
    ("MultiheadAttention(4, 2, kdim=3, vdim=2, bias=False)", ((5, 3, 4), (6, 3, 3), (6, 3, 2)), "each head"),
    ("MultiheadAttention(4, 2)", ((5, 4),) * 3, "causal"),
    ("MultiheadAttention(4, 2)", ((5, 3, 4),) * 3, "causal without weights"),
]


@pytest.mark.parametrize(
    ("text", "shapes", "how"), [sampled(*attention, quick=attention[-1] == "causal") for attention in ATTENTIONS]
)
def test_attention_is_that_of_pytorch(text: str, shapes: tuple[tuple[int, ...], ...], how: str) -> None:
    theirs, ours = built(torch.nn, text), built(tn.nn, text)
    ours.load_state_dict(theirs.state_dict())
    found: list[dict[str, np.ndarray]] = []
    for library, layer in ((tn, ours), (torch, theirs)):
        settings: dict[str, Any] = {"need_weights": "without weights" not in how}
        if "padding" in how:
            mask = np.zeros((3, shapes[1][1 if "batch_first" in text else 0]), bool)
            mask[1, -2:] = True
            settings["key_padding_mask"] = library.tensor(mask)
        if "causal" in how:
            settings["attn_mask"] = library.tensor(np.triu(np.ones((5, 5), bool), 1))
            settings["is_causal"] = not settings["need_weights"]
        if "each head" in how:
            settings["average_attn_weights"] = False
        found.append(run(library, layer, drawn(shapes, seed=3), **settings))
    assert_agree(found[0], found[1])


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        sampled("TransformerEncoderLayer(4, 2, 8, dropout=0.0)", ((5, 2, 4),), quick=True),
        sampled(
            "TransformerDecoderLayer(4, 2, 8, 0.0, 'gelu', batch_first=True, norm_first=True)",
            ((2, 5, 4), (2, 6, 4)),
            quick=False,
        ),
        sampled("Transformer(4, 2, 2, 1, 8, dropout=0.0)", ((5, 2, 4), (3, 2, 4)), quick=False),
    ],
)
def test_transformers_are_those_of_pytorch(text: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    theirs, ours = built(torch.nn, text), built(tn.nn, text)
    ours.load_state_dict(theirs.state_dict())
    arrays = drawn(shapes, seed=4)
    assert_agree(run(tn, ours, arrays), run(torch, theirs, arrays), tolerance=1e-4)


def test_embeddings_are_those_of_pytorch() -> None:
    numbers = np.array([[1, 2, 0], [2, 2, 4]])
    for settings in ({}, {"padding_idx": 2}):
        theirs, ours = torch.nn.Embedding(5, 3, **settings), tn.nn.Embedding(5, 3, **settings)
        ours.load_state_dict(theirs.state_dict())
        results = []
        for library, layer in ((tn, ours), (torch, theirs)):
            result = layer(library.tensor(numbers))
            (result * result).sum().backward()
            results.append([result.detach().numpy(), layer.weight.grad.numpy(), layer.weight.detach().numpy()])
        for mine, other in zip(*results, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)


def test_losses_of_classes_are_those_of_pytorch() -> None:
    logits, weight = np.random.default_rng(5).normal(size=(4, 3)).astype(np.float32), np.array([1, 2, 0.5], np.float32)
    classes, chances = np.array([0, 2, 1, 2]), np.random.default_rng(6).random((4, 3)).astype(np.float32)

    def losses(library: Any) -> list[float]:
        nn, tensor = library.nn, library.tensor
        x, w = tensor(logits), tensor(weight)
        found = [
            nn.CrossEntropyLoss(weight=w, label_smoothing=0.1)(x, tensor(classes)),
            nn.CrossEntropyLoss(ignore_index=2, reduction="sum")(x, tensor(classes)),
            nn.NLLLoss(weight=w)(nn.LogSoftmax(1)(x), tensor(classes)),
            nn.BCEWithLogitsLoss(pos_weight=w)(x, tensor(chances)),
            nn.BCELoss()(nn.Sigmoid()(x), tensor(chances)),
            nn.KLDivLoss(reduction="batchmean")(nn.LogSoftmax(1)(x), tensor(chances)),
            nn.L1Loss(reduction="sum")(x, tensor(chances)),
            nn.TripletMarginLoss()(x, tensor(chances), -x),
        ]
        return [value.item() for value in found]

    np.testing.assert_allclose(losses(tn), losses(torch), rtol=1e-5)
