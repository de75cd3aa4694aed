"""A network as a class: its layers, its parameters, what it prints as, and its state.

    python samples/tutorials/module.py

With `import torch` in place of the import below, it prints the same.
"""

import numpy as np

import tenfold as torch

nn = torch.nn
F = nn.functional


class MyNet(nn.Module):
    """Two convolutions, then two layers of neurons."""

    def __init__(self, classes=10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3, bias=False),
            nn.GELU(),
        )
        self.flatten = nn.Flatten()
        self.hidden = nn.Linear(8 * 2 * 2, 16)
        self.drop = nn.Dropout(p=0.25)
        self.head = nn.Linear(16, classes)
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def forward(self, x):
        self.seen += x.shape[0]
        x = self.flatten(self.features(x))
        x = self.drop(F.relu(self.hidden(x)))
        return self.head(x) * self.scale


net = MyNet()
print(net)
print(f"{sum(p.numel() for p in net.parameters())} parameters, {len(list(net.modules()))} modules")
for name, parameter in net.named_parameters():
    print(f"{name:20s} {tuple(parameter.shape)!s:14} {parameter.dtype} {parameter.requires_grad}")
print([name for name, _ in net.named_buffers()])
print([name for name, _ in net.named_children()])
print(list(net.state_dict().keys()))
print(net.features[0], net.features[-1], net.head.in_features, net.head.weight.is_leaf)

# The same weights wherever this runs.
rng = np.random.default_rng(0)
with torch.no_grad():
    for parameter in net.parameters():
        parameter.copy_(torch.from_numpy(rng.normal(0, 0.2, parameter.shape)))
images = torch.from_numpy(rng.uniform(0, 1, (3, 1, 8, 8)).astype(np.float32))

net.eval()
scores = net(images)
print(scores.shape, scores.argmax(dim=1), net.training)
print(scores[:, :4])
print(F.softmax(scores, dim=-1).sum(dim=-1))

print("One step down the slope")
labels = torch.tensor([3, 1, 4])
criterion = nn.CrossEntropyLoss()
loss = criterion(net(images), labels)
print(loss)
net.zero_grad()
loss.backward()
print(net.head.bias.grad)
print(net.scale.grad, net.seen)
with torch.no_grad():
    for parameter in net.parameters():
        parameter -= 0.1 * parameter.grad
print(f"{criterion(net(images), labels).item():.4f}")

print("Running statistics are part of the state, and change in training alone")
net.train()
net(images)
print(net.features[1].running_mean, net.features[1].num_batches_tracked)
net.eval()
net(images)
print(net.features[1].num_batches_tracked)

print("State goes from one network to another")
other = MyNet()
print(other.load_state_dict(net.state_dict()))
other.eval()
print(torch.equal(other(images), net(images)))
try:
    MyNet(classes=5).load_state_dict(net.state_dict())
except RuntimeError as error:
    print(error)

print("Some layers stay as they are")
for parameter in net.features.parameters():
    parameter.requires_grad_(False)
print(sum(p.numel() for p in net.parameters() if p.requires_grad))
print(net.apply(lambda module: module.weight.data.fill_(0.5) if isinstance(module, nn.Linear) else None).hidden.weight)
print(nn.ModuleList([nn.Linear(2, 2), nn.Tanh()]), nn.ModuleDict({"a": nn.Identity(), "b": nn.LSTM(2, 3)}), sep="\n")
handle = net.head.register_forward_hook(lambda module, inputs, output: print("head gives", tuple(output.shape)))
net(images)
handle.remove()
