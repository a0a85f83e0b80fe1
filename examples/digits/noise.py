"""How a trained model stands noise in its images: what comes after the training, as a program of its own."""

import argparse
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("model", type=Path)
parser.add_argument("--noise", type=float, required=True)
args = parser.parse_args()

torch.manual_seed(0)
data = load_digits()
images = torch.tensor(data.images[1438:], dtype=torch.float32).flatten(1) / 16
labels = torch.tensor(data.target[1438:])
saved = torch.load(args.model, weights_only=True)
model = nn.Sequential(nn.Linear(64, saved["width"]), nn.ReLU(), nn.Linear(saved["width"], 10))
model.load_state_dict(saved["model"])
with torch.no_grad():
    correct = model(images + args.noise * torch.randn_like(images)).argmax(1) == labels
print(f"Accuracy under noise: {100 * correct.float().mean().item():.2f}%")
