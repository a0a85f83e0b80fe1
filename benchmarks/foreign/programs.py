"""The programs: where each is from, what it needs, and the data that is given to it in its own format."""

from __future__ import annotations

import gzip
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FASHION = Path("/usr/share/datasets/fashion-mnist")
"""Debian's package dataset-fashion-mnist: the files of MNIST's format."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program that nobody here wrote."""

    name: str
    kind: str
    source: str
    """A public repository, `#` and a folder in it; empty where it is installed."""
    table: tuple[str, ...]
    """Options of `orch table`."""
    figure: tuple[str, ...]
    """Options of `orch plot`."""
    metric: str
    """What every cell of the table must have from each seed."""
    modules: tuple[str, ...] = ()
    """Python modules that it imports, and which are not orch's."""
    binary: str = ""
    give: Callable[[Path], None] = lambda folder: None
    """Lay its data into its folder."""


def _images(*places: str) -> Callable[[Path], None]:
    def give(folder: Path) -> None:
        for place in places:
            raw = folder / place / "MNIST" / "raw"
            raw.mkdir(parents=True, exist_ok=True)
            for file in FASHION.glob("*.gz"):
                with gzip.open(file) as packed, (raw / file.stem).open("wb") as plain:
                    shutil.copyfileobj(packed, plain)

    return give


def _digits(folder: Path) -> None:
    """scikit-learn's digits as texts: a word for each bright pixel."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    lines = [
        f"__label__{label} " + " ".join(f"p{place}_{int(value) // 4}" for place, value in enumerate(image) if value)
        for image, label in zip(images, labels, strict=True)
    ]
    random.Random(0).shuffle(lines)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.txt").write_text("\n".join(lines[:1300]) + "\n")
    (folder / "test.txt").write_text("\n".join(lines[1300:]) + "\n")


PROGRAMS = (
    Program(
        name="fasttext",
        kind="a binary (C++), two stages",
        source="",
        binary="fasttext",
        table=("--filter", "experiment=test"),
        figure=("bars", "--x", "lr", "--hue", "dim", "--y", "precision"),
        metric="precision",
        give=_digits,
    ),
    Program(
        name="shell",
        kind="a shell script with awk",
        source="https://github.com/kush-gupt/sc25#workloads",
        binary="awk",
        table=("--stats",),
        figure=("box", "--x", "samples", "--y", "estimate"),
        metric="estimate",
    ),
    Program(
        name="makemore",
        kind="argparse, TensorBoard",
        source="https://github.com/karpathy/makemore",
        modules=("torch", "tensorboard"),
        table=(),
        figure=("curves", "--y", "Loss/test", "--hue", "lr", "--facet", "type"),
        metric="Loss/test",
    ),
    Program(
        name="hydra",
        kind="Hydra and Lightning, CSV",
        source="https://github.com/ashleve/lightning-hydra-template",
        modules=("hydra", "lightning", "rootutils", "torchvision", "rich"),
        table=("--metric", "test/acc,val/acc"),
        figure=("bars", "--x", "lr", "--hue", "width", "--y", "test/acc"),
        metric="test/acc",
        give=_images("data"),
    ),
    Program(
        name="lightning",
        kind="LightningCLI",
        source="https://github.com/Lightning-AI/pytorch-lightning#examples",
        modules=("lightning", "jsonargparse", "torchvision"),
        table=(),
        figure=("heatmap", "--x", "lr", "--hue", "hidden", "--y", "test_loss"),
        metric="test_loss",
        give=_images("data", "Datasets"),
    ),
)
