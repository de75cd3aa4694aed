"""Modules and optimisers print as PyTorch's do."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

import pytest

import tenfold as tn

torch = pytest.importorskip("torch")

LAYERS = """
Identity(3, a=1); Linear(3, 4); Linear(3, 4, bias=False); Bilinear(2, 3, 4); Bilinear(2, 3, 4, bias=False)
Conv1d(2, 4, 3); Conv1d(2, 4, 3, stride=2, padding="valid", dilation=2, groups=2, bias=False)
Conv2d(2, 4, 3); Conv2d(2, 4, (3, 5), (1, 2), padding=1, padding_mode="reflect"); Conv2d(2, 4, 3, padding="same")
ConvTranspose1d(2, 4, 3, stride=2, output_padding=1); ConvTranspose2d(2, 4, 3, 2, 1, 1, dilation=2)
MaxPool1d(3); MaxPool2d(3, 2, 1, ceil_mode=True); MaxPool2d((3, 2)); AvgPool1d(3); AvgPool2d(3, 2); AvgPool2d((3, 2))
AdaptiveAvgPool1d(3); AdaptiveAvgPool2d((3, None)); AdaptiveMaxPool1d(3); AdaptiveMaxPool2d((3, 2), True)
BatchNorm1d(3); BatchNorm2d(3, momentum=None, affine=False); BatchNorm2d(3, track_running_stats=False)
InstanceNorm1d(3); InstanceNorm2d(3, affine=True); LayerNorm(3); LayerNorm((3, 4), 1e-6, bias=False)
LayerNorm(3, elementwise_affine=False); GroupNorm(2, 4); RMSNorm(3); RMSNorm((3, 4), 1e-6); LocalResponseNorm(2)
Dropout(); Dropout(0.2, inplace=True); Dropout1d(0.1); Dropout2d(); AlphaDropout()
Embedding(5, 3); Embedding(5, 3, padding_idx=-1, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=True)
Flatten(); Flatten(0, 2); Unflatten(1, (2, 3))
ReLU(); ReLU(inplace=True); ReLU6(); ReLU6(True); LeakyReLU(); LeakyReLU(0.2, True); ELU(); ELU(0.5, True); CELU()
SELU(); SELU(True); GELU(); GELU("tanh"); GLU(); Threshold(0.1, 20); Hardtanh(); Hardtanh(-2, 2, True)
Hardsigmoid(True); Hardswish(); SiLU(); SiLU(True); Mish(); Softplus(); Softplus(2, 10)
Softshrink(); Hardshrink(0.3); PReLU(); PReLU(4)
RReLU(); RReLU(0.1, 0.2, True); Softmax(1); Softmax(dim=-1); Softmin(); LogSoftmax(dim=1); Softmax2d(); Sigmoid()
LogSigmoid(); Tanh(); Tanhshrink(); Softsign()
L1Loss(); MSELoss(); SmoothL1Loss(); HuberLoss(); CrossEntropyLoss(label_smoothing=0.1); NLLLoss(); BCELoss()
BCEWithLogitsLoss(); KLDivLoss(); PoissonNLLLoss(); GaussianNLLLoss(); HingeEmbeddingLoss(); SoftMarginLoss()
MultiLabelSoftMarginLoss(); CosineEmbeddingLoss(); MarginRankingLoss(); TripletMarginLoss()
Upsample(scale_factor=2); Upsample((3, 4)); Upsample(scale_factor=(2, 3), mode="bilinear"); UpsamplingNearest2d(4)
UpsamplingBilinear2d(scale_factor=2); PixelShuffle(2); PixelUnshuffle(3); ZeroPad1d(1); ZeroPad2d((1, 2, 3, 4))
ConstantPad1d(2, 3.5); ConstantPad2d(2, 1); ReflectionPad1d(2); ReflectionPad2d(1); ReplicationPad1d((1, 2))
ReplicationPad2d(3); CircularPad1d(1); CircularPad2d(1); CosineSimilarity(); PairwiseDistance()
RNN(3, 4); RNN(3, 4, 2, "relu", bias=False, batch_first=True, dropout=0.1, bidirectional=True); LSTM(3, 4, proj_size=2)
GRU(3, 4, num_layers=2); RNNCell(3, 4, bias=False, nonlinearity="relu"); LSTMCell(3, 4); GRUCell(3, 4, bias=False)
MultiheadAttention(4, 2); MultiheadAttention(4, 2, bias=False, kdim=3, add_bias_kv=True)
TransformerEncoderLayer(4, 2, 8); TransformerDecoderLayer(4, 2, 8, activation="gelu", bias=False)
Transformer(4, 2, 2, 1, 8)
Sequential(); ModuleList(); ModuleDict(); ParameterList(); ParameterDict()
"""


def lines() -> list[str]:
    return [text.strip() for text in LAYERS.replace("\n", ";").split(";") if text.strip()]


def made(nn: Any, text: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's encoder tells which of its paths it takes.
        return eval(f"nn.{text}", {"nn": nn})


def test_layers_have_the_text_and_the_state_of_pytorch() -> None:
    for text in lines():
        ours, theirs = made(tn.nn, text), made(torch.nn, text)
        assert repr(ours) == repr(theirs), text
        described = [
            [(name, tuple(value.shape)) for name, value in layer.state_dict().items()] for layer in (ours, theirs)
        ]
        assert described[0] == described[1], text


def test_containers_print_as_in_pytorch() -> None:
    def model(nn: Any) -> Any:
        block = nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2)))
        same = [nn.Linear(2, 2) for _ in range(3)]
        listed = nn.ModuleList([*same, nn.ReLU(), nn.Sequential(nn.Tanh()), nn.Sequential(nn.Tanh())])
        named = nn.ModuleDict({"left": nn.Linear(1, 2), "right": nn.ModuleList()})
        return nn.Sequential(block, listed, named)

    assert repr(model(tn.nn)) == repr(model(torch.nn))


def test_extra_repr_stands_before_submodules() -> None:
    def model(nn: Any) -> str:
        class Own(nn.Module):
            def __init__(self, lines: str, filled: bool) -> None:
                super().__init__()
                self.lines = lines
                if filled:
                    self.part = nn.Linear(1, 2)

            def extra_repr(self) -> str:
                return self.lines

        return "\n".join(repr(Own(text, filled)) for text in ("", "a=1", "a=1\nb=2") for filled in (True, False))

    assert model(tn.nn) == model(torch.nn)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "Adamax"])
def test_optimisers_print_as_in_pytorch(name: str) -> None:
    def printed(library: Any) -> str:
        layers = [library.nn.Linear(2, 3), library.nn.Linear(3, 1)]
        groups = [{"params": layers[0].parameters()}, {"params": layers[1].parameters(), "lr": 0.5}]
        return repr(getattr(library.optim, name)(groups, lr=0.1))

    assert printed(tn) == printed(torch)
