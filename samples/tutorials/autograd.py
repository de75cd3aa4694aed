"""Backward passes one by one: accumulation, graphs that are kept or freed, and what is left out of them.

    python samples/tutorials/autograd.py

With `import torch` in place of the import below, it prints the same.
"""

import tenfold as torch

x = torch.tensor(2.0, requires_grad=True)
y = x**3
print(x, y)
y.backward()
print(x.grad)

print("Gradients accumulate")
for _ in range(2):
    (x**3).backward()
    print(x.grad)
x.grad.zero_()
print(x.grad)
(x**2).backward()
print(x.grad)
x.grad = None
print(x.grad)

print("A graph is freed by its backward pass, unless it is kept")
y = x.exp() * x
y.backward(retain_graph=True)
print(x.grad)
y.backward()
print(x.grad)
try:
    y.backward()
except RuntimeError as error:
    print("RuntimeError:", "backward through the graph a second time" in str(error))
try:
    (x * torch.ones(2)).backward()
except RuntimeError as error:
    print("RuntimeError:", "scalar outputs" in str(error))

print("Zeroed by an optimizer")
optimizer = torch.optim.SGD([x], lr=0.25)
optimizer.zero_grad()
print(x.grad)
(x**2).backward()
optimizer.step()
print(x)

print("Left out")
with torch.no_grad():
    z = x * 2
print(z, z.requires_grad)
with torch.no_grad():
    x -= 0.25
print(x, x.is_leaf)
d = x.detach()
print(d, d.requires_grad)
d.mul_(2)
print(x, "shares its memory with", d)
frozen = torch.tensor([1.0, 2.0])
weights = torch.tensor([3.0, 4.0], requires_grad=True)
(frozen * weights).sum().backward()
print(frozen.grad, weights.grad)
try:
    weights += 1
except RuntimeError as error:
    print("RuntimeError:", "leaf" in str(error) and "in-place operation" in str(error))


@torch.no_grad()
def predict(inputs):
    return inputs @ weights


print(predict(torch.eye(2)), torch.is_grad_enabled())
with torch.inference_mode():
    print(weights.sum().requires_grad)
with torch.set_grad_enabled(False):
    print((weights * 2).requires_grad)

print("Between the leaves")
h = weights * 3
h.retain_grad()
handle = weights.register_hook(lambda gradient: gradient * 10)
h.pow(2).sum().backward()
handle.remove()
print(h.grad, weights.grad)
print(h.is_leaf, h.grad_fn.name(), h.detach().grad_fn)

print("Gradients of gradients")
x = torch.tensor(2.0, requires_grad=True)
(first,) = torch.autograd.grad(x**4, x, create_graph=True)
(second,) = torch.autograd.grad(first, x)
print(first, second)


class Double(torch.autograd.Function):
    """Twice the input; its gradient is made three times as large, to be seen."""

    @staticmethod
    def forward(ctx, value):
        ctx.save_for_backward(value)
        return value * 2

    @staticmethod
    def backward(ctx, gradient):
        (value,) = ctx.saved_tensors
        return 6 * gradient * value.sign()


v = torch.tensor([-1.0, 2.0], requires_grad=True)
doubled = Double.apply(v)
print(doubled)
doubled.sum().backward()
print(v.grad)
