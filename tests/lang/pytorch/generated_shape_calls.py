"""More calls that mean the same to PyTorch and to Tenfold: of creation, shapes, indexing and products."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.lang.pytorch.generated_calls import BOOL, F32, F64, FLOATS, I64, Call, Operand

CREATED = """
    t.zeros(2, 3)|t.zeros((2, 3))|t.ones([4])|t.zeros(())|t.ones(2, dtype=t.int64)|t.full((2, 2), 7)
    t.full((3,), 1.5)|t.full((2,), True)|t.full((), 3, dtype=t.float64)|t.arange(5)|t.arange(1, 9, 2)
    t.arange(0.5, 3)|t.arange(3, 0, -1)|t.arange(0, 1, 0.25)|t.arange(4, dtype=t.float32)|t.arange(5, 1)
    t.linspace(0, 1, 5)|t.linspace(-2, 2, steps=4)|t.linspace(3, 3, 1)|t.linspace(0, 9, 4, dtype=t.int64)
    t.logspace(0, 2, 3)|t.logspace(-1, 1, 4, base=2)|t.eye(3)|t.eye(2, 4)|t.eye(2, dtype=t.bool)
    t.tril_indices(3, 4)|t.triu_indices(3, 3, 1)|t.tril_indices(3, 3, -1)|t.triu_indices(2, 4, -1)
    t.scalar_tensor(2)|t.empty(0)|t.arange(start=2, end=6, step=2)|t.zeros(-1)|t.eye(0)|t.linspace(0, 1, 0)
    t.meshgrid(t.arange(2), t.arange(3), indexing='ij')|t.ones(2, 0, 3)
"""


def _texts(lines: str) -> list[str]:
    return [text.strip() for line in lines.splitlines() for text in line.split("|") if text.strip()]


def creation() -> Iterator[Call]:
    yield from (Call(text) for text in _texts(CREATED))
    texts = _texts("""
        t.zeros_like(x)|t.ones_like(x)|t.full_like(x, 3)|t.zeros_like(x, dtype=t.float32)
        t.ones_like(x, dtype=t.bool)|t.tril(x)|t.triu(x, 1)|t.tril(x, -1)|t.triu(x, diagonal=-1)
    """)
    for text, dtype, shape in itertools.product(texts, (F32, I64, BOOL), ((3, 4), (2, 3, 3))):
        yield Call(text, (Operand(dtype, shape),))


RESHAPED = """
    t.reshape(x, (4, 3))|t.reshape(x, (-1,))|t.reshape(x, (2, -1, 3))|t.reshape(x, (5, 5))|t.flatten(x)
    t.ravel(x)|t.flatten(x, 1)|t.flatten(x, 0, 1)|t.permute(x, (1, 0))|t.permute(x, (0,))|t.transpose(x, 0, 1)
    t.transpose(x, 0, 5)|t.swapaxes(x, 0, -1)|t.swapdims(x, 0, 1)|t.movedim(x, 0, -1)
    t.moveaxis(x, (0, 1), (1, 0))|t.squeeze(x)|t.t(x)|t.squeeze(x, 0)|t.squeeze(x, (0, 1))|t.unsqueeze(x, 0)
    t.unsqueeze(x, -1)|t.unsqueeze(x, 7)|t.broadcast_to(x, (2, 3, 4))|t.broadcast_to(x, (5, 5))|t.tile(x, (2,))
    t.tile(x, (2, 1, 2))|t.flip(x, (0,))|t.flip(x, (0, 1))|t.fliplr(x)|t.flipud(x)|t.roll(x, 1)|t.roll(x, 2, 0)
    t.roll(x, (1, -1), (0, 1))|t.rot90(x)|t.rot90(x, 2)|t.rot90(x, -1, (0, 1))|t.rot90(x, 0)
    t.repeat_interleave(x, 2)|t.repeat_interleave(x, 3, dim=1)|t.narrow(x, 1, 1, 2)|t.narrow(x, 0, 2, 5)
    t.select(x, 0, 1)|t.select(x, 1, -1)|t.select(x, 0, 9)|t.unbind(x)|t.unbind(x, 1)|t.split(x, 2)
    t.split(x, 3, dim=1)|t.split(x, [1, 2])|t.split(x, [1, 1])|t.chunk(x, 2)|t.chunk(x, 3, 1)
    t.tensor_split(x, 2)|t.tensor_split(x, (1, 2), 1)|t.hsplit(x, 2)|t.vsplit(x, 3)|t.vsplit(x, [1])
    t.hsplit(x, 3)|t.unflatten(x, 1, (2, 2))|t.unflatten(x, 1, (-1, 2))|t.diagonal(x)|t.diagonal(x, 1)
    t.diagonal(x, -1, 1, 0)|t.diag(x)|t.diag(x, 1)|t.diag_embed(x)|t.diag_embed(x, 1, 0, 2)|t.diagflat(x)
    t.atleast_1d(x)|t.atleast_2d(x)|t.atleast_3d(x)|t.cat((x, x))|t.cat([x, x], 1)|t.cat((x, x), dim=-1)
    t.stack((x, x))|t.stack([x, x], dim=1)|t.stack((x, x), -1)|t.concat((x, x))|t.hstack((x, x))
    t.vstack((x, x))|t.dstack((x, x))|t.column_stack((x, x))|t.row_stack((x, x))|t.block_diag(x, x)
    t.broadcast_tensors(x, x)|t.as_strided(x, (2, 2), (1, 2))|t.cat((x, x), 5)|t.numel(x)|t.is_floating_point(x)
    t.kron(x, x)|t.chunk(x, 5)|t.flip(x, [1])|t.unflatten(x, 0, (5, 5))
"""


def shapes() -> Iterator[Call]:
    for text, dtype in itertools.product(_texts(RESHAPED), (F32, BOOL)):
        if dtype != BOOL or "kron" not in text:
            yield Call(text, (Operand(dtype, (3, 4)),))
    for text in _texts(RESHAPED):
        if "as_strided" not in text:
            yield Call(text, (Operand(I64, (2, 3, 4)),))
    one = """
        t.diag(x)|t.diag(x, -1)|t.diag_embed(x)|t.vander(x)|t.vander(x, 3, True)|t.combinations(x)
        t.cartesian_prod(x, x)|t.combinations(x, 3, with_replacement=True)|t.flip(x, (0,))|t.atleast_2d(x)
        t.atleast_3d(x)|t.hstack((x, x))|t.vstack((x, x))|t.dstack((x, x))|t.column_stack((x, x))
        t.meshgrid(x, x, indexing='xy')|t.roll(x, -2)|t.tile(x, (3,))|t.hsplit(x, 5)|t.unbind(x)
        t.block_diag(x, x)|t.t(x)|t.unsqueeze(x, 1)|t.diagflat(x, 1)|t.squeeze(x, 0)
    """
    for text, dtype in itertools.product(_texts(one), (F32, I64)):
        yield Call(text, (Operand(dtype, (5,)),))
    for text in _texts(
        "t.flatten(x)|t.squeeze(x)|t.unsqueeze(x, 0)|t.atleast_1d(x)|t.reshape(x, (1, 1))|t.stack((x, x))|t.t(x)"
    ):
        yield Call(text, (Operand(F32, ()),))
    smooth = """
        t.reshape(x, (4, 3)) * 2|t.permute(x, (1, 0))|t.cat((x, x * x), 1)|t.stack((x, x))|t.flip(x, (0,))
        t.roll(x, 1, 0)|t.diagonal(x)|t.diag_embed(x)|t.tile(x, (2, 1))|t.narrow(x, 1, 1, 2)|t.unbind(x)
        t.split(x, 2)|t.broadcast_to(x, (2, 3, 4))|t.repeat_interleave(x, 2, 0)|t.tril(x)|t.rot90(x)
        t.select(x, 0, 1)|t.kron(x, x)|t.squeeze(x * x)|t.hstack((x, x))
    """
    for text in _texts(smooth):
        yield Call(text, (Operand(F64, (3, 4)),), gradient=True)


ALONG = """
    t.gather(x, 0, y)|t.gather(x, 1, y)|t.scatter(x, 0, y, x)|t.scatter(x, 1, y, 5)|t.scatter_add(x, 1, y, x)
    t.scatter_add(x, 0, y, x)|t.take_along_dim(x, y, 1)|t.take_along_dim(x, y)|t.take(x, y)|t.gather(x, 5, y)
    t.scatter_reduce(x, 0, y, x, 'sum')|t.scatter_reduce(x, 1, y, x, 'amax', include_self=False)
    t.scatter_reduce(x, 1, y, x, 'prod', include_self=False)|t.scatter_reduce(x, 1, y, x, 'mean')
    t.scatter_reduce(x, 0, y, x, 'amin')|t.scatter_reduce(x, 0, y, x, 'none')
    t.scatter(x, 1, y, 2, reduce='add')
"""
BY_INDEX = """
    t.index_select(x, 0, y)|t.index_select(x, 1, y)|t.index_add(x, 0, y, x[:2])
    t.index_add(x, 1, y, x[:, :2], alpha=2)|t.index_copy(x, 0, y, x[1:])|t.index_fill(x, 1, y, 9)
    t.index_fill(x, 0, y, 0)|x[y]|x[:, y]|x[y, y]|x[None, y]|x[..., y]|t.index_select(x, 3, y)
    t.index_put(x, (y,), x[0])|t.index_add(x, 0, y, x)
"""
BY_MASK = """
    t.masked_fill(x, y, 7)|t.where(y, x, 0)|t.where(y, x, -x)|t.masked_scatter(x, y, x)
    t.masked_fill(x, y[0], 1)|t.masked_fill(x, x, 1)|t.where(y, 1, x)
"""
SLICED = """
    x[0]|x[-1]|x[1:]|x[:, 1]|x[..., 0]|x[None]|x[:, None]|x[::2]|x[1:2, 1:3]|x[5]|x[0, 0, 0]|x[[0, 2]]
    x[:, [1, 1]]|x[..., None]|t.select_scatter(x, x[0], 0, 1)|t.slice_scatter(x, x[:2], 0, 1)
    t.slice_scatter(x, x[:, ::2], 1, 0, 4, 2)
"""


def indexing() -> Iterator[Call]:
    for dtype in (F32, I64):
        x, pair = Operand(dtype, (3, 4)), Operand(I64, (2,), "below3")
        for text in _texts(ALONG):
            yield Call(text, (x, Operand(I64, (3, 4), "below3")))
            yield Call(text, (x, Operand(I64, (2, 3), "below3")))
        yield from (Call(text, (x, pair)) for text in _texts(BY_INDEX) if "copy" not in text or dtype == F32)
        yield from (Call(text, (x, Operand(BOOL, (3, 4)))) for text in _texts(BY_MASK))
        yield from (Call(text, (x,)) for text in _texts(SLICED))
    smooth = """
        t.gather(x, 1, y)|t.scatter_add(x, 1, y, x * x)|t.take(x, y)
        t.scatter_reduce(x, 1, y, x, 'sum', include_self=False)|t.take_along_dim(x, y, 0)|x[y[0]]
        t.index_select(x, 1, y[:, 0])|t.masked_fill(x, y > 1, 2.0)
    """
    for text in _texts(smooth):
        yield Call(text, (Operand(F64, (3, 4)), Operand(I64, (3, 4), "below3")), gradient=True)


MATRICES = """
    t.mm(x, y)|t.matmul(x, y)|x @ y|t.einsum('ij,jk->ik', x, y)|t.einsum('ij,jk', x, y)|t.tensordot(x, y, 1)
    t.tensordot(x, y, dims=([1], [0]))|t.addmm(x @ y, x, y)|t.addmm(x @ y, x, y, beta=2, alpha=3)
    t.chain_matmul(x, y)|t.inner(x, y.T)|t.mv(x, y[:, 0])|t.addmv(x[:, 0], x, y[:, 0], alpha=2)|t.mm(x, x)
    t.mm(x, y[0])|t.matmul(x, y[:, 0])|t.addmm(y[0], x, y, beta=0)|t.linalg.multi_dot((x, y))
"""
VECTORS = """
    t.dot(x, y)|t.outer(x, y)|t.ger(x, y)|t.vdot(x, y)|t.inner(x, y)|t.kron(x, y)|t.linalg.vecdot(x, y)
    t.matmul(x, y)|t.linalg.cross(x[:3], y[:3])|t.cross(x[:3], y[:3], dim=0)|t.addr(t.outer(x, y), x, y)
    t.linalg.norm(x)|t.einsum('i,i', x, y)|t.linalg.vector_norm(x, 3)|t.tensordot(x, y, 0)
"""
BATCHES = """
    t.bmm(x, y)|t.matmul(x, y)|t.baddbmm(x @ y, x, y, beta=2)|t.addbmm((x @ y)[0], x, y)
    t.einsum('bij,bjk->bik', x, y)|t.matmul(x, y[0])|t.bmm(x, y[0])|t.bmm(x, x)
"""
SQUARE = """
    t.linalg.det(x)|t.det(x)|t.inverse(x)|t.linalg.inv(x)|t.linalg.slogdet(x)|t.slogdet(x)|t.linalg.solve(x, y)
    t.trace(x)|t.matrix_power(x, 3)|t.matrix_power(x, 0)|t.linalg.matrix_power(x, -1)|t.linalg.matrix_norm(x)
    t.linalg.matrix_norm(x, 1)|t.linalg.norm(x)|t.linalg.norm(x, 'fro')|t.linalg.matrix_norm(x, float('inf'))
    t.linalg.solve(x, y[:, 0])|t.logdet(x @ x.T)|t.linalg.cholesky(x @ x.T + t.eye(3, dtype=x.dtype) * 5)
    t.linalg.diagonal(x)|t.linalg.vector_norm(x, dim=1)|t.linalg.solve(x, y.T, left=False)
"""


def products() -> Iterator[Call]:
    for dtype in (F32, I64):
        two = Operand(dtype, (3, 4)), Operand(dtype, (4, 2))
        yield from (Call(text, two) for text in _texts(MATRICES))
        yield from (Call(text, (Operand(dtype, (2, 3, 4)), Operand(dtype, (2, 4, 2)))) for text in _texts(BATCHES))
        yield from (
            Call(text, (Operand(dtype, (4,)), Operand(dtype, (4,))))
            for text in _texts(VECTORS)
            if (dtype != I64 or ("norm" not in text and "vecdot" not in text))
        )
    for dtype, text in itertools.product(FLOATS, _texts(SQUARE)):
        yield Call(text, (Operand(dtype, (3, 3)), Operand(dtype, (3, 2))))
    for text in ("t.cdist(x, y)", "t.cdist(x, y, 1)", "t.cdist(x, y, p=3.0)"):
        yield Call(text, (Operand(F32, (3, 4)), Operand(F32, (2, 4))))
    smooth = [*_texts(MATRICES)[:4], "t.addmm(x @ y, x, y, alpha=2)", "t.cdist(x, y.T)"]
    yield from (Call(text, (Operand(F64, (3, 4)), Operand(F64, (4, 2))), True) for text in smooth)
    smooth = _texts(
        "t.det(x)|t.linalg.inv(x)|t.linalg.slogdet(x)[1]|t.linalg.solve(x, y)|t.matrix_power(x, 2)|t.linalg.norm(x)"
    )
    yield from (Call(text, (Operand(F64, (3, 3)), Operand(F64, (3, 2))), True) for text in smooth)
