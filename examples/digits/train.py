"""PyTorch's MNIST example on scikit-learn's digits: it knows nothing of orch."""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--width", type=int, default=32)
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=Path())
args = parser.parse_args()

torch.manual_seed(args.seed)
data = load_digits()
images = torch.tensor(data.images, dtype=torch.float32).flatten(1) / 16
labels = torch.tensor(data.target)
train, test = slice(0, 1438), slice(1438, None)  # the last fifth, written by other people, is for tests

model = nn.Sequential(nn.Linear(64, args.width), nn.ReLU(), nn.Linear(args.width, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9)
for epoch in range(1, args.epochs + 1):
    for batch in torch.randperm(1438).split(32):
        optimizer.zero_grad()
        functional.cross_entropy(model(images[train][batch]), labels[train][batch]).backward()
        optimizer.step()
    with torch.no_grad():
        output = model(images[test])
        loss = functional.cross_entropy(output, labels[test]).item()
        correct = int((output.argmax(1) == labels[test]).sum())
    print(f"Train Epoch: {epoch}")
    print(f"Test set: Average loss: {loss:.4f}, Accuracy: {correct}/{len(output)} ({100 * correct / len(output):.2f}%)")
torch.save({"width": args.width, "model": model.state_dict()}, args.output / "model.pt")
