"""The training loop that a researcher writes: PIL transforms, a DataLoader, fp32, default memory format and optimiser.

It shares the architecture and its first weights with orch's trainer, and nothing else, so that both can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from jobs.training.datasets import Dataset as DatasetInfo


class PilImages(Dataset[tuple[torch.Tensor, int]]):
    """Images uint8 N×32×32×3 and labels, as torchvision.datasets.CIFAR10 serves them."""

    def __init__(self, images: NDArray[np.uint8], labels: NDArray[np.uint8], transform: Callable[[Any], torch.Tensor]):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def transform(info: DatasetInfo, *, train: bool) -> Callable[[Any], torch.Tensor]:
    """The usual CIFAR transforms; crop and flip where the data set's entry asks for them."""
    augment = train and info.augmentation == "crop-flip"
    steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()] if augment else []
    made: Callable[[Any], torch.Tensor] = transforms.Compose(
        [*steps, transforms.ToTensor(), transforms.Normalize(info.mean, info.std)]
    )
    return made


def loaders(
    info: DatasetInfo,
    train: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    *,
    workers: int,
    seed: int = 0,
    pin: bool = False,
) -> tuple[DataLoader[Any], DataLoader[Any]]:
    """Train and test DataLoader at batch 64 and 256."""
    keep = workers > 0
    return (
        DataLoader(
            PilImages(*train, transform(info, train=True)),
            batch_size=64,
            shuffle=True,
            num_workers=workers,
            pin_memory=pin,
            persistent_workers=keep,
            generator=torch.Generator().manual_seed(seed),
        ),
        DataLoader(
            PilImages(*test, transform(info, train=False)),
            batch_size=256,
            num_workers=workers,
            pin_memory=pin,
            persistent_workers=keep,
        ),
    )


def epochs(
    network: nn.Module, train: DataLoader[Any], test: DataLoader[Any] | None, device: torch.device, count: int
) -> Iterator[dict[str, float]]:
    """Train by Table 1; yields the numbers of each epoch (accuracy in percent, seconds of training alone)."""
    network = network.to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0090131, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=100, gamma=0.2344)
    for _ in range(count):
        began = time.perf_counter()
        network.train()
        total_loss, correct, seen = 0.0, 0, 0
        for images, labels in train:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            optimizer.zero_grad()
            outputs = network(images)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            total_loss += loss.item() * len(labels)
            correct += int((outputs.argmax(1) == labels).sum().item())
            seen += len(labels)
        scheduler.step()
        seconds = time.perf_counter() - began
        row = {"train_loss": total_loss / seen, "train_accuracy": 100 * correct / seen, "seconds": seconds}
        row["images_per_second"] = seen / seconds
        if test is not None:
            row["test_accuracy"] = accuracy(network, test, device)
        yield row


def accuracy(network: nn.Module, test: DataLoader[Any], device: torch.device) -> float:
    """Percent of the test images classified rightly."""
    network.eval()
    correct = count = 0
    with torch.no_grad():
        for images, labels in test:
            correct += int((network(images.to(device)).argmax(1) == labels.to(device)).sum().item())
            count += len(labels)
    return 100 * correct / count
