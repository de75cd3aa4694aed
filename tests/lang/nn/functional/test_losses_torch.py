"""Losses agree with PyTorch's over their options, and where nothing counts."""

from __future__ import annotations

import numpy as np
import pytest
from torch_cases import case, check, classes, made, normal, probabilities

import tenfold as tn

F = tn.nn.functional

X, Y = normal(4, 5), normal(4, 5, seed=1)
P, Q = probabilities(4, 5), probabilities(4, 5, seed=1)
SIGNS = np.array([1, -1, 1, 1], "float32")


def test_regression_losses() -> None:
    names = ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"]
    check(
        [
            *(case(name, [X, Y], reduction=how) for name in names for how in ("mean", "sum", "none")),
            *(made(name, lambda f, x, y, w, n=name: getattr(f, n)(x, y, weight=w), X, Y, P) for name in names[:2]),
            case("smooth_l1_loss", [X, Y], beta=0.3),
            case("smooth_l1_loss", [X, Y], beta=0.0),
            case("huber_loss", [X, Y], delta=0.4),
            made("huber_loss weighted", lambda f, x, y, w: f.huber_loss(x, y, weight=w), X, Y, P),
            *(case(name, [normal(), normal(seed=1)]) for name in names),
            *(case(name, [X[:0], Y[:0]]) for name in names),
        ]
    )


def test_likelihoods() -> None:
    counts = classes(6, 4, 5).astype("float32")
    check(
        [
            *(case("kl_div", [X, P], reduction=how) for how in ("mean", "sum", "none", "batchmean")),
            case("kl_div", [X, Y], log_target=True, reduction="batchmean"),
            case("poisson_nll_loss", [X, counts]),
            made("poisson full", lambda f, x, y: f.poisson_nll_loss(x, y.detach(), full=True), X, counts),
            case("poisson_nll_loss", [P, counts], log_input=False, eps=0.1, reduction="sum"),
            case("gaussian_nll_loss", [X, Y, P]),
            case("gaussian_nll_loss", [X, Y, P[:, 0]], full=True, reduction="none"),
            case("gaussian_nll_loss", [X, Y, P[:, :1]], eps=0.5),
        ]
    )


def test_margins() -> None:
    check(
        [
            *(
                made(
                    f"{name} {how}",
                    lambda f, x, y, n=name, r=how: getattr(f, n)(x, y.detach(), margin=0.6, reduction=r),
                    X[:, 0],
                    SIGNS,
                )
                for name in ["hinge_embedding_loss"]
                for how in ("mean", "none")
            ),
            made("ranking", lambda f, a, b, y: f.margin_ranking_loss(a, b, y.detach(), 0.2), X[0, :4], Y[0, :4], SIGNS),
            made("cosine", lambda f, a, b, y: f.cosine_embedding_loss(a, b, y.detach(), -0.5), X, Y, SIGNS),
            case("triplet_margin_loss", [X, Y, normal(4, 5, seed=2)]),
            case("triplet_margin_loss", [X, Y, normal(4, 5, seed=2)], p=1.0, swap=True, reduction="none"),
            made("soft", lambda f, x, y: f.soft_margin_loss(x, y.detach()), X[:, 0], SIGNS),
            case("multi_margin_loss", [X, classes(5, 4)]),
            case("multi_margin_loss", [X[0], classes(5)], p=2, margin=0.3),
            made(
                "multi weighted",
                lambda f, x, y, w: f.multi_margin_loss(x, y, weight=w.detach(), reduction="none"),
                X,
                classes(5, 4),
                P[0],
            ),
        ]
    )


def test_cross_entropy() -> None:
    targets, images = classes(5, 4), classes(4, 2, 3, 2)
    check(
        [
            *(case("cross_entropy", [X, targets], reduction=how) for how in ("mean", "sum", "none")),
            case("cross_entropy", [X, targets], label_smoothing=0.2),
            case("cross_entropy", [X, targets], ignore_index=int(targets[0]), label_smoothing=0.1),
            case("cross_entropy", [X[0], targets[0]]),
            case("cross_entropy", [normal(2, 4, 3, 2), images], ignore_index=1),
            made(
                "weighted",
                lambda f, x, t, w: f.cross_entropy(x, t, w.detach(), ignore_index=2, label_smoothing=0.3),
                normal(2, 4, 3, 2),
                images,
                P[0, :4],
            ),
            case("cross_entropy", [X, P]),
            made(
                "probabilities weighted",
                lambda f, x, t, w: f.cross_entropy(x, t, w.detach(), label_smoothing=0.3),
                normal(2, 4, 3),
                probabilities(2, 4, 3),
                P[0, :4],
            ),
            *(case("nll_loss", [X, targets], reduction=how) for how in ("mean", "sum", "none")),
            case("nll_loss", [X[0], targets[0]]),
            made(
                "nll weighted",
                lambda f, x, t, w: f.nll_loss(x, t, w.detach(), ignore_index=0),
                normal(2, 4, 3, 2),
                images,
                P[0, :4],
            ),
            case("cross_entropy", [X[:0], targets[:0]]),
            case("cross_entropy", [X, np.full(4, -100)]),
            case("nll_loss", [X, np.full(4, -100)]),
        ]
    )


def test_binary_cross_entropy() -> None:
    certain, answers = np.array([0, 0, 1, 1, 0.5], "float32"), np.array([0, 1, 0, 1, 1], "float32")
    logits = np.array([-200, 0, 200, 1, -1], "float32")
    check(
        [
            *(case("binary_cross_entropy", [P, Q], reduction=how) for how in ("mean", "sum", "none")),
            made("weighted", lambda f, x, y, w: f.binary_cross_entropy(x, y.detach(), w.detach()), P, Q, P[0]),
            made("certain", lambda f, x, y: f.binary_cross_entropy(x, y.detach()), certain, answers),
            *(case("binary_cross_entropy_with_logits", [X, Q], reduction=how) for how in ("mean", "sum", "none")),
            case("binary_cross_entropy_with_logits", [logits, answers]),
            made(
                "logits weighted",
                lambda f, x, y, w, p: f.binary_cross_entropy_with_logits(
                    x, y, w.detach(), pos_weight=p.detach(), reduction="none"
                ),
                X,
                Q,
                P[:, :1],
                P[0],
            ),
            case("multilabel_soft_margin_loss", [X, Q]),
        ]
    )


def test_a_target_that_is_no_class_gives_nan() -> None:
    found = F.cross_entropy(X, np.array([0, 7, -100, -1]), reduction="none")
    np.testing.assert_array_equal(np.isnan(np.asarray(found)), [False, True, False, True])


def test_targets_of_another_shape_are_broadcast_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="rarely meant"):
        found = F.mse_loss(np.zeros((3, 1), "float32"), np.ones(2, "float32"))
    assert float(found) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.cross_entropy(X, classes(5, 3)), "class indices of shape"),
        (lambda: F.cross_entropy(X, P[:3]), "probabilities .* for logits"),
        (lambda: F.cross_entropy(X, classes(5, 4), weight=P[0, :3]), "one for each class"),
        (lambda: F.cross_entropy(X, classes(5, 4), reduction="avg"), "reduction is 'avg'"),
        (lambda: F.cross_entropy(X, classes(5, 4), label_smoothing=2.0), "label_smoothing is 2.0"),
        (lambda: F.binary_cross_entropy(P, Q[:3]), "differ in shape"),
        (lambda: F.huber_loss(X, Y, delta=0.0), "delta is 0.0"),
        (lambda: F.gaussian_nll_loss(X, Y, P[:3]), "does not fit input"),
        (lambda: F.triplet_margin_loss(X, Y[0], Y), "number of axes"),
        (lambda: F.mse_loss(X, Y, weight=P[0]), "differ in shape"),
    ],
)
def test_wrong_arguments(call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()
