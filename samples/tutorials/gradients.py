"""The gradient of a function of two vectors, weighed by a vector.

    python samples/tutorials/gradients.py

With `import torch` in place of the import below, it prints the same.
"""

import tenfold as torch

a = torch.tensor([2.0, 4.0], requires_grad=True)
b = torch.tensor([7.0, 5.0], requires_grad=True)
E = 3 * a**3 - b**2
print(a, b)
print(E)

E.backward(gradient=torch.tensor([1.0, 1.0]))
print(a.grad)
print(b.grad)
print(9 * a**2 == a.grad, -2 * b == b.grad)

print(torch.tensor([[9, 8], [7, 6]]))

# What requires a gradient, and what does not.
x = torch.rand(5, 5)
y = torch.rand(5, 5)
z = torch.rand((5, 5), requires_grad=True)
print((x + y).requires_grad, (x + z).requires_grad)

# Each value knows the function that gave it, and that function its inputs.
print(E.grad_fn.name(), [function.name() for function, _ in E.grad_fn.next_functions])
print((a * b).sum(), (a @ b), a.exp().mean(), a.reshape(2, 1), a[0], torch.cat([a, b]), sep="\n")

# Jacobians, and gradients without `grad`.
print(torch.autograd.grad((a * b).sum(), (a, b)))
print(torch.autograd.functional.jacobian(lambda v: v**2, torch.tensor([1.0, 2.0])))
print(torch.autograd.functional.hessian(lambda v: (v**3).sum(), torch.tensor([1.0, 2.0])))
