"""Normalisation, running statistics, and distances agree with PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import case, check, made, normal, probabilities, torch

import tenfold as tn

F = tn.nn.functional

IMAGE = normal(3, 4, 5, 2)


def test_normalization() -> None:
    w, b, m, v = normal(4, seed=1), normal(4, seed=2), normal(4, seed=3), probabilities(4)
    check(
        [
            case("layer_norm", [normal(3, 6)], (6,)),
            made("layer_norm scaled", lambda f, x, w, b: f.layer_norm(x, (2, 4), w, b, 0.1), *_scaled(3, 2, 4)),
            case("rms_norm", [normal(3, 6)], (6,)),
            made("rms_norm scaled", lambda f, x, w, b: f.rms_norm(x, (2, 4), w, 1e-3), *_scaled(3, 2, 4)),
            case("group_norm", [IMAGE], 2),
            made("group_norm scaled", lambda f, x, w, b: f.group_norm(x, 4, w, b), IMAGE, w, b),
            made(
                "batch_norm", lambda f, x, m, v, w, b: f.batch_norm(x, m.detach(), v.detach(), w, b), IMAGE, m, v, w, b
            ),
            made(
                "batch_norm of vectors",
                lambda f, x, m, v: f.batch_norm(x, m.detach(), v.detach(), eps=0.1),
                normal(5, 4),
                m,
                v,
            ),
            made("batch_norm training", lambda f, x, w, b: f.batch_norm(x, None, None, w, b, True), IMAGE, w, b),
            case("instance_norm", [IMAGE]),
            made("instance_norm scaled", lambda f, x, w, b: f.instance_norm(x, None, None, w, b), IMAGE, w, b),
            made(
                "instance_norm running",
                lambda f, x, m, v: f.instance_norm(x, m.detach(), v.detach(), use_input_stats=False),
                IMAGE,
                m,
                v,
            ),
            case("local_response_norm", [IMAGE], 3, alpha=0.5, k=2.0),
            case("local_response_norm", [IMAGE], 2),
        ]
    )


def _by_running_statistics(f, x, mean, var, *affine):
    return f.batch_norm(x, mean.detach(), var.detach(), *affine, eps=0.1)


def _scaled(*shape: int):
    return normal(*shape), normal(*shape[1:], seed=1), normal(*shape[1:], seed=2)


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5)])
def test_training_moves_running_statistics(shape) -> None:
    x, mean, var = normal(*shape), normal(4), probabilities(4)
    result = F.batch_norm_training(x, mean, var, momentum=0.3)
    others = torch.tensor(mean), torch.tensor(var)
    torch.nn.functional.batch_norm(torch.tensor(x), *others, training=True, momentum=0.3)
    for found, other in zip((result.running_mean, result.running_var), others, strict=True):
        np.testing.assert_allclose(np.asarray(found), other.numpy(), rtol=1e-5, atol=1e-6)


def test_distances() -> None:
    x, y, zeros = normal(4, 6), normal(4, 6, seed=1), np.zeros((2, 3), "float32")
    check(
        [
            case("normalize", [x]),
            case("normalize", [x], p=1.0, dim=0),
            case("normalize", [zeros]),
            case("cosine_similarity", [x, y]),
            case("cosine_similarity", [x, y[:1]], dim=0),
            case("cosine_similarity", [x, y], dim=-1, eps=2.0),
            case("pairwise_distance", [x, y]),
            case("pairwise_distance", [x, y], p=1.0, keepdim=True),
            case("pairwise_distance", [x, y[0]], p=3.0, eps=0.1),
        ]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.layer_norm(IMAGE, (3,)), "last axes"),
        (lambda: F.layer_norm(IMAGE, (2,), normal(3)), "weight is .* not of shape"),
        (lambda: F.group_norm(IMAGE, 3), "3 groups do not divide 4 channels"),
        (lambda: F.batch_norm(IMAGE, None, None), "running_mean and running_var are needed"),
        (lambda: F.batch_norm(IMAGE, normal(3), normal(3)), "running statistics"),
        (lambda: F.batch_norm(normal(1, 4), None, None, training=True), "one value per channel"),
        (lambda: F.cosine_similarity(normal(3), normal(4), dim=0), "do not broadcast"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
