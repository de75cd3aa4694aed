"""Tensors: where they come from, what they know of themselves, what can be done with them.

    python samples/tutorials/tensors.py

With `import torch` in place of the import below, it prints the same.
"""

import numpy as np

import tenfold as torch

print("From data, NumPy, other tensors and shapes")
data = [[1, 2], [3, 4]]
x_data = torch.tensor(data)
array = np.array(data, dtype=np.float64) / 3
x_np = torch.from_numpy(array)
x_ones = torch.ones_like(x_data)
x_rand = torch.rand_like(x_data, dtype=torch.float)
print(x_data)
print(x_np)
print(x_ones, x_ones.dtype)
print(x_rand.shape, x_rand.dtype, bool(((x_rand >= 0) & (x_rand < 1)).all()))
shape = (2, 3)
print(torch.ones(shape), torch.zeros(shape), torch.full(shape, 7), sep="\n")
print(torch.rand(shape).shape, torch.randn(4, 1).size(), torch.randint(0, 9, (2,)).dtype, torch.empty(0, 3))
print(torch.arange(10), torch.arange(0, 1, 0.25), torch.linspace(-1, 1, steps=5), torch.eye(3), sep="\n")
print(torch.tensor(3.5), torch.tensor([True, False]), torch.tensor([]), torch.tensor([[], []]))

print("Attributes")
x = torch.arange(12.0).reshape(3, 4)
print(f"shape {x.shape}, element type {x.dtype}, device {x.device}")
print(x.ndim, x.dim(), x.numel(), x.size(1), x.stride(), len(x), x.is_contiguous(), x.element_size())
print(x.T.shape, x.T.stride(), x.T.is_contiguous(), x.is_leaf, x.type())

print("Indexing")
print(x[0], x[:, 0], x[..., -1], x[1, 2], sep="\n")
print(x[x > 6], x[[0, 2]], x[torch.tensor([2, 0]), torch.tensor([1, 3])], x[:, None].shape, sep="\n")
x[:, 1] = 0
print(x)
x[x > 8] = -1
x[0] = torch.tensor([9.0, 8.0, 7.0, 6.0])
x[1:, ::2] += 0.5
print(x)
row = x[2]
row.zero_()
print("a row is a view:", x)
view = x.view(4, 3)
view[0, 0] = 100
x.t()[3] = 5
print(x, view, sep="\n")

print("Joining and shapes")
small = torch.tensor([[9, 8], [7, 6]])
print(small)
print(torch.cat([small, small], dim=1), torch.stack((small, small + 1)), sep="\n")
print(torch.vstack([small, small[:1]]), torch.hstack([small, small[:, :1]]), sep="\n")
print(small.flatten(), small.unsqueeze(0).shape, small.reshape(-1, 1).squeeze(), small.permute(1, 0), sep="\n")
print(torch.chunk(torch.arange(7), 3), torch.split(torch.arange(5), [2, 3]), sep="\n")
print(small.repeat(1, 2), small[:1].expand(3, 2), sep="\n")

print("Arithmetic")
t = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
print(t @ t.T, t.matmul(t.T), torch.matmul(t, t.T), sep="\n")
out = torch.empty(2, 2)
torch.matmul(t, t.T, out=out)
print(out)
print(t * t, t.mul(t), t / 2, t**2, t % 4, t // 4, -t, sep="\n")
print(t.sum(), t.sum(dim=0), t.mean(dim=1, keepdim=True), t.std(), t.max(), t.argmax(), sep="\n")
print(t.max(dim=1))
print(torch.sqrt(t), torch.exp(t - 3), torch.sin(t), sep="\n")
print((t > 2) & (t < 6), torch.where(t > 2, t, torch.zeros_like(t)), t.clamp(2, 5), sep="\n")
print(t.sort(descending=True).values, torch.topk(t, 2), torch.cumsum(t, dim=1), sep="\n")
print(torch.tensor([1, 2]) + 0.5, torch.tensor([1, 2]) / torch.tensor([2, 4]), torch.tensor(1) + torch.tensor(True))
print(torch.allclose(t, t + 1e-9), torch.equal(t, t.clone()), t.to(torch.int32), t.long(), t.bool())

print("One element")
total = t.sum()
number = total.item()
print(number, type(number), int(t[0, 1]), float(t[1, 1]), t.tolist())
print(f"{total:.3f} {total} {t[0, 0].item():5.1f}")

print("In place")
t.add_(5)
print(t)
t.mul_(2).sub_(1).clamp_(max=20)
print(t)
t.t_()
t += 1
print(t)
t.copy_(torch.arange(6).reshape(3, 2))
t.fill_(3).div_(2)
print(t)

print("NumPy, over the same memory")
t = torch.ones(5)
n = t.numpy()
print(t, n)
t.add_(1)
print(t, n)
n[0] = 10
print(t, n)
n = np.ones(5)
t = torch.from_numpy(n)
np.add(n, 1, out=n)
print(t, n)
t[1:3] = 7
print(t, n, t.dtype)
print(np.sum(t.numpy()), np.array(t), np.asarray(x).shape)

print("Other devices")
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
moved = t.to(device)
print(moved.device.type == device.type, (moved + 1).cpu().sum())

print("Text")
print(torch.tensor([1e-8, 1.0, 1e8]), torch.tensor([0.1, 100.25]), torch.tensor([float("nan"), float("inf"), 1]))
print(torch.arange(2000), torch.zeros(30, 40), sep="\n")
print(torch.tensor([1, 2], dtype=torch.int8), torch.tensor(2.5, dtype=torch.float16), torch.tensor([[[1.5]]]))
