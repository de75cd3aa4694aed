"""Matrix instructions and tensor copies against NumPy: fragments, descriptors, swizzles, edges of tensors."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from ptx_machine import MBarrierMisuse, Memory, Misaligned, Module, Race, Schedule, TensorMap
from ptx_programs import Array, fetch, kernel, place, run

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
LANE = np.arange(32)
GROUP, THREAD = LANE // 4, LANE % 4


def tf32(x: Array) -> Array:
    return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


# ---- mma: the fragments are laid out here as the PTX ISA's figures show them


def mma_kernel(shape: str, kind: str, result: str, counts: tuple[int, int, int]) -> str:
    """Loads `counts` registers of each fragment, interleaved by lane, and stores those of the result."""
    size, bits = (8, "b64") if kind == "f64" else (4, "b32")
    names = ["a", "b", "c"]
    lines, vectors = [], []
    for i, (name, count) in enumerate(zip(names, counts, strict=True)):
        lines.append(f".reg .{bits} %{name}<{count}>; mul.wide.u32 %rd10, %r0, {size * count};")
        lines.append(f"add.s64 %rd11, %rd{i}, %rd10;")
        lines += [f"ld.global.{bits} %{name}{j}, [%rd11+{size * j}];" for j in range(count)]
        vectors.append("{" + ", ".join(f"%{name}{j}" for j in range(count)) + "}")
    lines.append(f"mma.sync.aligned.{shape}.row.col.{result}.{kind}.{kind}.{result}")
    lines.append(f"    {vectors[2]}, {vectors[0]}, {vectors[1]}, {vectors[2]};")
    lines += [f"st.global.{bits} [%rd11+{size * j}], %c{j};" for j in range(counts[2])]
    return kernel("\n".join(lines), 3)


def halves(matrix: Array, rows: list[Array], columns: list[Array]) -> Array:
    """Registers of two adjacent elements, shape (32, registers)."""
    pairs = [
        np.stack([matrix[row, column], matrix[row, column + 1]], 1).view(np.uint32)[:, 0]
        for row, column in zip(rows, columns, strict=True)
    ]
    return np.ascontiguousarray(np.stack(pairs, 1))


@pytest.mark.parametrize("dtype", [BFLOAT16, np.dtype(np.float16)])
def test_mma_of_halves(dtype: np.dtype, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((16, 16)).astype(dtype), rng.standard_normal((16, 8)).astype(dtype)
    c = rng.standard_normal((16, 8)).astype(np.float32)
    g, t = GROUP, THREAD
    lhs = halves(a, [g, g + 8, g, g + 8], [2 * t, 2 * t, 2 * t + 8, 2 * t + 8])
    rhs = halves(np.ascontiguousarray(b.T), [g, g], [2 * t, 2 * t + 8])
    addend = np.stack([c[g, 2 * t], c[g, 2 * t + 1], c[g + 8, 2 * t], c[g + 8, 2 * t + 1]], 1)
    name = "bf16" if dtype == BFLOAT16 else "f16"
    found = run(mma_kernel("m16n8k16", name, "f32", (4, 2, 4)), [lhs, rhs, addend])[2]
    d = a.astype(np.float64) @ b.astype(np.float64) + c
    expected = np.stack([d[g, 2 * t], d[g, 2 * t + 1], d[g + 8, 2 * t], d[g + 8, 2 * t + 1]], 1)
    assert np.allclose(found, expected, rtol=0, atol=1e-5)


def test_mma_of_tf32_ignores_low_bits(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((16, 8)).astype(np.float32), rng.standard_normal((8, 8)).astype(np.float32)
    g, t = GROUP, THREAD
    lhs = np.stack([a[g, t], a[g + 8, t], a[g, t + 4], a[g + 8, t + 4]], 1)
    rhs = np.stack([b[t, g], b[t + 4, g]], 1)
    found = run(mma_kernel("m16n8k8", "tf32", "f32", (4, 2, 4)), [lhs, rhs, np.zeros((32, 4), np.float32)])[2]
    d = tf32(a).astype(np.float64) @ tf32(b).astype(np.float64)
    expected = np.stack([d[g, 2 * t], d[g, 2 * t + 1], d[g + 8, 2 * t], d[g + 8, 2 * t + 1]], 1)
    assert np.allclose(found, expected, rtol=0, atol=1e-5)


def test_mma_of_float64(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((8, 4)), rng.standard_normal((4, 8))
    g, t = GROUP, THREAD
    found = run(mma_kernel("m8n8k4", "f64", "f64", (1, 1, 2)), [a[g, t], b[t, g], np.zeros((32, 2))])[2]
    d = a @ b
    assert np.allclose(found, np.stack([d[g, 2 * t], d[g, 2 * t + 1]], 1), rtol=1e-14)


def test_stmatrix_and_ldmatrix_are_inverse(rng: np.random.Generator) -> None:
    body = """
        mul.wide.u32 %rd10, %r0, 16; add.s64 %rd11, %rd0, %rd10; add.s64 %rd12, %rd1, %rd10;
        ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd11];
        mul.lo.u32 %r5, %r0, 16; mov.b32 %r6, tile; add.u32 %r6, %r6, %r5;
        stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%r6], {%r1, %r2, %r3, %r4};
        ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r4}, [%r6];
        st.global.v4.b32 [%rd12], {%r1, %r2, %r3, %r4};
    """
    x = rng.integers(0, 1 << 32, (32, 4), dtype=np.uint32)
    found = run(kernel(body, 2, ".shared .align 16 .b8 tile[512];"), [x, x.nbytes])[1].view(np.uint32).reshape(32, 4)
    for i in range(4):
        before = np.ascontiguousarray(x[:, i]).view(np.uint16).reshape(8, 8)
        assert np.array_equal(np.ascontiguousarray(found[:, i]).view(np.uint16).reshape(8, 8), before.T)


# ---- wgmma: the images of shared memory are built here element by element


def image(matrix: Array, transposed: bool, leading: int, stride: int) -> Array:
    """A matrix (rows, k) in the layout of 128-byte swizzles, as bytes; `transposed` has rows side by side."""
    data = np.zeros(32768, np.uint8)
    size = matrix.dtype.itemsize
    for (row, k), value in np.ndenumerate(matrix):
        if transposed:
            at = row // 64 * leading + k // 8 * stride + k % 8 * 128 + row % 64 * size
        else:
            at = row // 8 * stride + row % 8 * 128 + k * size
        at ^= at // 128 % 8 * 16
        data[at : at + size] = np.frombuffer(np.asarray(value).tobytes(), np.uint8)
    return data


def wgmma_kernel(instruction: str, columns: int, fragments: int = 0) -> str:
    """Copies two images of 32 KiB to shared memory and multiplies; parameters: lhs, rhs, result."""
    number = columns // 2
    accumulators = ", ".join(f"%f{i}" for i in range(number))
    lines = [f".reg .b32 %f<{number}>;", *[f"mov.b32 %f{i}, 0f00000000;" for i in range(number)]]
    lines += ["mul.wide.u32 %rd10, %r0, 16;"]
    for i in range(2):
        lines += [f"add.s64 %rd11, %rd{i}, %rd10;", f"mov.b64 %rd12, tile{i}; add.s64 %rd12, %rd12, %rd10;"]
        for step in range(0, 32768 if not (i == 0 and fragments) else 0, 2048):
            lines += [f"ld.global.v4.b32 {{%r1, %r2, %r3, %r4}}, [%rd11+{step}];"]
            lines += [f"st.shared.v4.b32 [%rd12+{step}], {{%r1, %r2, %r3, %r4}};"]
    lines += ["fence.proxy.async.shared::cta;", "bar.sync 0;"]
    if fragments:
        lines += ["add.s64 %rd11, %rd0, %rd10;", "ld.global.v4.b32 {%r1, %r2, %r3, %r4}, [%rd11];"]
    for i in range(2):
        lines += [f"mov.b64 %rd{14 + i}, tile{i}; shr.u64 %rd{14 + i}, %rd{14 + i}, 4;"]
        lines += [f"or.b64 %rd{14 + i}, %rd{14 + i}, DESCRIPTOR{i};"]
    lines += ["setp.ne.b32 %p1, %r0, %r0;", "wgmma.fence.sync.aligned;"]
    lines += [instruction.replace("ACCUMULATORS", accumulators)]
    lines += ["wgmma.commit_group.sync.aligned;", "wgmma.wait_group.sync.aligned 0;"]
    lines += [f"mul.wide.u32 %rd10, %r0, {4 * number};", "add.s64 %rd11, %rd2, %rd10;"]
    lines += [f"st.global.b32 [%rd11+{4 * i}], %f{i};" for i in range(number)]
    tiles = " ".join(f".shared .align 1024 .b8 tile{i}[32768];" for i in range(2))
    return kernel("\n".join(lines), 3, tiles)


def descriptor(leading: int, stride: int) -> int:
    return (leading >> 4) << 16 | (stride >> 4) << 32 | 1 << 62


def accumulated(found: Array, columns: int) -> Array:
    """The matrix that 128 threads hold."""
    result = np.zeros((64, columns), np.float32)
    w = np.arange(128)
    for i in range(columns // 2):
        result[w // 32 * 16 + w % 32 // 4 + 8 * (i // 2 % 2), 8 * (i // 4) + w % 4 * 2 + i % 2] = found[:, i]
    return result


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("lhs_transposed", "rhs_transposed"), [(False, False), (False, True), (True, True)])
def test_wgmma_of_bf16(lhs_transposed: bool, rhs_transposed: bool, seed: int, rng: np.random.Generator) -> None:
    columns = 128
    a, b = rng.standard_normal((64, 16)).astype(BFLOAT16), rng.standard_normal((columns, 16)).astype(BFLOAT16)
    leading, stride = 8192, 1024
    code = "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {ACCUMULATORS}, %rd14, %rd15, %p1, 1, 1, "
    text = wgmma_kernel(code + f"{int(lhs_transposed)}, {int(rhs_transposed)};", columns)
    text = text.replace("DESCRIPTOR0", str(descriptor(leading, stride)))
    text = text.replace("DESCRIPTOR1", str(descriptor(leading, stride)))
    images = [image(a, lhs_transposed, leading, stride), image(b, rhs_transposed, leading, stride)]
    found = run(text, [*images, 128 * columns * 2], threads=128, seed=seed)[2].view(np.float32).reshape(128, -1)
    expected = a.astype(np.float64) @ b.astype(np.float64).T
    assert np.allclose(accumulated(found, columns), expected, rtol=0, atol=1e-5)
    with pytest.raises(Race, match=r"fence\.proxy\.async"):
        run(text.replace("fence.proxy.async.shared::cta;", ""), [*images, 128 * columns * 2], threads=128, seed=seed)


def test_wgmma_of_tf32_and_a_negative_factor(rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((64, 8)).astype(np.float32), rng.standard_normal((16, 8)).astype(np.float32)
    code = "wgmma.mma_async.sync.aligned.m64n16k8.f32.tf32.tf32 {ACCUMULATORS}, %rd14, %rd15, %p1, -1, 1;"
    text = wgmma_kernel(code, 16)
    for i in range(2):
        text = text.replace(f"DESCRIPTOR{i}", str(descriptor(16, 1024)))
    images = [image(a, False, 16, 1024), image(b, False, 16, 1024)]
    found = run(text, [*images, 128 * 32], threads=128)[2].view(np.float32).reshape(128, -1)
    expected = -tf32(a).astype(np.float64) @ tf32(b).astype(np.float64).T
    assert np.allclose(accumulated(found, 16), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_wgmma_with_its_left_side_in_registers(seed: int, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((64, 16)).astype(BFLOAT16), rng.standard_normal((32, 16)).astype(BFLOAT16)
    code = "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {ACCUMULATORS}, {%r1, %r2, %r3, %r4}, %rd15, %p1,"
    text = wgmma_kernel(code + " 1, 1, 0;", 32, fragments=4).replace("DESCRIPTOR0", "0")
    text = text.replace("DESCRIPTOR1", str(descriptor(16, 1024)))
    g, t = GROUP, THREAD
    fragments = np.concatenate([
        halves(a[16 * warp : 16 * warp + 16], [g, g + 8, g, g + 8], [2 * t, 2 * t, 2 * t + 8, 2 * t + 8])
        for warp in range(4)
    ])  # fmt: skip
    arrays = [fragments, image(b, False, 16, 1024), 128 * 64]
    found = run(text, arrays, threads=128, seed=seed)[2].view(np.float32).reshape(128, -1)
    expected = a.astype(np.float64) @ b.astype(np.float64).T
    assert np.allclose(accumulated(found, 32), expected, rtol=0, atol=1e-5)


# ---- tensor copies


COPY = """
.version 8.6
.target sm_90a
.address_size 64
.visible .entry copy(.param .align 64 .b8 source[128], .param .align 64 .b8 target[128], .param .u64 out,
    .param .u32 x, .param .u32 y)
{
    .reg .pred %p<3>; .reg .b32 %r<12>; .reg .b64 %rd<12>;
    .shared .align 1024 .b8 tile[4096]; .shared .align 8 .b8 bar[8];
    mov.b64 %rd1, source; cvta.param.u64 %rd1, %rd1;
    mov.b64 %rd2, target; cvta.param.u64 %rd2, %rd2;
    ld.param.b64 %rd3, [out]; ld.param.b32 %r1, [x]; ld.param.b32 %r2, [y];
    mov.u32 %r0, %tid.x; setp.ne.u32 %p1, %r0, 0; mov.b64 %rd4, tile;
    @%p1 bra $wait;
    mbarrier.init.shared.b64 [bar], 1;
    fence.proxy.async.shared::cta;
    mbarrier.arrive.expect_tx.shared.b64 _, [bar], BYTES;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%rd4], [%rd1, {%r1, %r2}], [bar];
$wait:
    bar.sync 0;
$again:
    mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;
    @!%p2 bra $again;
    mul.wide.u32 %rd5, %r0, 16; add.s64 %rd6, %rd4, %rd5; add.s64 %rd7, %rd3, %rd5;
    ld.shared.v4.b32 {%r4, %r5, %r6, %r7}, [%rd6];
    st.global.v4.b32 [%rd7], {%r4, %r5, %r6, %r7};
    @%p1 bra $end;
    cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%rd2, {%r1, %r2}], [%rd4];
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group.read 0;
$end:
    ret;
}
"""


def copy(text: str, swizzle: int, corner: tuple[int, int], seed: int) -> tuple[Array, Array, Array]:
    """Copy a box of 32 or fewer columns of 4 bytes; returns the tensor, the bytes of the tile, and the copy."""
    rows, columns = 24, 36
    x = np.arange(1, rows * columns + 1, dtype=np.int32).reshape(rows, columns)
    width = (swizzle or 64) // 4
    memory = Memory()
    source, target = place(memory, x), place(memory, np.zeros_like(x))
    maps = [
        TensorMap(each, np.int32, (columns, rows), (4 * columns,), (width, 16), swizzle).pack()
        for each in (source, target)
    ]
    nbytes = 64 * width
    out = memory.allocate(nbytes)
    text = text.replace("BYTES", str(nbytes))
    Module(text).launch("copy", (1, 1, 1), (nbytes // 16, 1, 1), [*maps, out, *corner], memory, schedule=Schedule(seed))
    return x, fetch(memory, out, (nbytes,), np.uint8), fetch(memory, target, x.shape, np.int32)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("corner", [(0, 0), (8, 5), (20, 16), (-4, -3)])
@pytest.mark.parametrize("swizzle", [0, 32, 64, 128])
def test_a_box_is_copied_with_zeros_outside_the_tensor(swizzle: int, corner: tuple[int, int], seed: int) -> None:
    x, tile, copied = copy(COPY, swizzle, corner, seed)
    pitch = swizzle or 64
    padded = np.zeros((64, 128), np.int32)
    padded[16:40, 16:52] = x
    box = padded[16 + corner[1] :, 16 + corner[0] :][:16, : pitch // 4]
    for row in range(16):
        for chunk in range(pitch // 16):
            at = row * pitch + 16 * chunk
            masks = {0: 0, 32: 1, 64: 3, 128: 7}
            at ^= at // 128 % 8 % (masks[swizzle] + 1) * 16
            assert tile[at : at + 16].view(np.int32).tolist() == box[row, 4 * chunk : 4 * chunk + 4].tolist()
    expected = np.zeros_like(padded)
    inside = expected[16 + corner[1] :, 16 + corner[0] :][:16, : pitch // 4]
    inside[:] = box
    assert np.array_equal(copied, expected[16:40, 16:52])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("cp.async.bulk.wait_group.read 0;", "", Race),
        ("[bar], BYTES", "[bar], 16", MBarrierMisuse),
        ("[%rd4], [%rd1,", "[%rd4+64], [%rd1,", Misaligned),
    ],
)
def test_a_wrong_copy_is_found(before: str, after: str, kind: type[Exception], seed: int) -> None:
    with pytest.raises(kind):
        copy(COPY.replace(before, after), 64, (0, 0), seed)


def test_a_wait_that_is_not_repeated_is_found_where_the_copy_lands_late() -> None:
    with pytest.raises(Race):
        copy(COPY.replace("@!%p2 bra $again;", ""), 64, (0, 0), seed=1)


def test_a_tensor_map_that_the_driver_would_refuse() -> None:
    with pytest.raises(ValueError, match="strides"):
        TensorMap(1 << 40, np.float32, (10, 10), (40,), (4, 4))
    packed = TensorMap(1 << 40, BFLOAT16, (64, 10, 3), (128, 1280), (64, 4, 1), 128)
    assert TensorMap.unpack(packed.pack()) == packed
    assert len(packed.pack()) == 128
