"""Images on the device: uint8 tensors, and batches that are cropped, flipped and normalised there.

No worker processes and no copies from the host inside an epoch. All randomness of an epoch is drawn at its start from
one generator on the device; a step only reads it at a cursor that lives on the device too, so that a step can be
replayed as a CUDA graph and a resumed epoch sees the same batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from jobs.training import datasets, images
from jobs.training.datasets import Augmentation, Dataset

PADDING = 4
"""Pixels of black around an image before a random 32×32 window is cut (He et al., arXiv 1512.03385, section 4.2)."""


@dataclass(frozen=True)
class Split:
    """Images uint8 N×32×32×3 (channels last) and labels int64 N, on one device."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, chosen: slice) -> Split:
        return Split(self.images[chosen], self.labels[chosen])

    def at(self, indices: Tensor) -> Split:
        """The images of these indices (int64), in that order: how a train set is halved."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True)
class ImageData:
    """Both splits of a data set."""

    dataset: Dataset
    train: Split
    test: Split


def load(name: str, data_dir: Path | None = None, device: str | torch.device = "cpu") -> ImageData:
    """A data set on the device; on the CPU its images stay memory-mapped and are shared by all workers of a node.

    Raises BadInput for an unknown name, DataError where it is missing or damaged.
    """
    arrays = images.prepared(name, data_dir)

    def split(pixels: images.Bytes, labels: images.Bytes) -> Split:
        return Split(torch.from_numpy(pixels).to(device), torch.from_numpy(labels).to(device, torch.int64))

    return ImageData(
        datasets.named(name),
        split(arrays.train_images, arrays.train_labels),
        split(arrays.test_images, arrays.test_labels),
    )


class Normaliser:
    """Scales uint8 images to mean 0 and deviation 1 per channel."""

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
        self.scale = (1.0 / (255.0 * std)).to(device)
        self.shift = (-mean / std).to(device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """pixels: uint8 N×H×W×3. Returns float32 N×3×H×W in channels-last memory."""
        return torch.addcmul(self.shift, pixels.to(torch.float32), self.scale).permute(0, 3, 1, 2)


class Batches:
    """A split in random order, batch by batch, augmented on its device.

    `shuffle()` draws an epoch's order, windows and flips; `seek(step)` sets the cursor; `take(size)` gives the next
    `size` images. The last batch of an epoch is the short rest (50,000 images in batches of 64: 781 full ones and one
    of 16), as a DataLoader without `drop_last` gives it, so that an epoch is 782 steps as in the report's setting.
    """

    def __init__(
        self,
        split: Split,
        dataset: Dataset,
        batch_size: int,
        generator: torch.Generator,
        augmentation: Augmentation | None = None,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.generator = generator
        self.augmentation = dataset.augmentation if augmentation is None else augmentation
        self.device = split.images.device
        count = len(split)
        full, rest = divmod(count, batch_size)
        self.sizes: tuple[int, ...] = (batch_size,) * full + ((rest,) if rest else ())
        """Images in each step of an epoch."""
        self._normalise = Normaliser(dataset, self.device)
        # written in place, never replaced: a CUDA graph keeps their addresses
        self._order = torch.zeros(count, dtype=torch.int64, device=self.device)
        self._top = torch.zeros(count, dtype=torch.int64, device=self.device)
        self._left = torch.zeros(count, dtype=torch.int64, device=self.device)
        self._flip = torch.zeros(count, dtype=torch.bool, device=self.device)
        self.cursor = torch.zeros(1, dtype=torch.int64, device=self.device)
        self._steps = torch.arange(max(batch_size, 32), device=self.device)

    def shuffle(self) -> None:
        """Draw the next epoch: order, top-left corners in 0…8 and flips; the cursor goes to its start."""
        count = len(self._order)
        self._order.copy_(torch.randperm(count, generator=self.generator, device=self.device))
        if self.augmentation == "crop-flip":
            self._top.random_(0, 2 * PADDING + 1, generator=self.generator)
            self._left.random_(0, 2 * PADDING + 1, generator=self.generator)
            self._flip.random_(0, 2, generator=self.generator)
        self.seek(0)

    def seek(self, step: int) -> None:
        """The next batch is that of this step (0-based) of the epoch."""
        self.cursor.fill_(step * self.batch_size)

    def take(self, size: int) -> tuple[Tensor, Tensor]:
        """The next batch: images float32 size×3×32×32 in channels-last memory, labels int64. Moves the cursor on."""
        positions = self.cursor + self._steps[:size]
        chosen = self._order[positions]
        pixels = self.split.images[chosen]
        if self.augmentation == "crop-flip":
            pixels = crop_flip(pixels, self._top[positions], self._left[positions], self._flip[positions], self._steps)
        self.cursor += size
        return self._normalise(pixels), self.split.labels[chosen]


def crop_flip(pixels: Tensor, top: Tensor, left: Tensor, flip: Tensor, steps: Tensor) -> Tensor:
    """Cut a window of each padded image and mirror it where `flip`.

    pixels: uint8 N×32×32×3; top, left: int64 N, corner in the image padded by 4 (4, 4 is the image itself); flip: bool
    N; steps: 0…, at least 32 and N long. Returns uint8 N×32×32×3.
    """
    count, side = pixels.shape[0], pixels.shape[1]
    padded = functional.pad(pixels, (0, 0, PADDING, PADDING, PADDING, PADDING))
    wide = side + 2 * PADDING
    across = steps[:side]
    rows = top[:, None] + across
    columns = left[:, None] + torch.where(flip[:, None], side - 1 - across, across)
    index = (steps[:count, None] * wide + rows)[:, :, None] * wide + columns[:, None, :]
    return padded.view(-1, 3).index_select(0, index.view(-1)).view(count, side, side, 3)


class Evaluator:
    """Accuracy of a net on a split, in equal batches of at most `batch_size` images."""

    def __init__(self, split: Split, dataset: Dataset, batch_size: int = 500) -> None:
        self.split = split
        self.batch_size = batch_size
        self._normalise = Normaliser(dataset, split.images.device)

    def part(self, count: int) -> tuple[Tensor, Tensor]:
        """The first `count` images of the split (float32 N×3×32×32, normalised) and their labels (int64)."""
        first = self.split[:count]
        return self._normalise(first.images), first.labels

    def correct(self, network: torch.nn.Module) -> Tensor:
        """How many images are classified rightly (int64, on the device: no host sync). The net is put to eval mode."""
        network.eval()
        total = torch.zeros((), dtype=torch.int64, device=self.split.images.device)
        with torch.inference_mode():
            for start in range(0, len(self.split), self.batch_size):
                part = self.split[start : start + self.batch_size]
                guess = network(self._normalise(part.images)).argmax(1)
                total += (guess == part.labels).sum()
        return total
