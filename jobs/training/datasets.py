"""The data sets by name: where their files lie, how they are fetched, and how their images are augmented.

Torch- and numpy-free, so that a command can make sure of a data set. All have 10 classes and are brought to 32×32×3.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from jobs.errors import BadInput, DataError

Augmentation = Literal["crop-flip", "none"]

FASHION_PACKAGE = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts its gzipped IDX files."""

CIFAR10_MD5: dict[str, str] = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
"""MD5 of the pickled batches, as in torchvision.datasets.CIFAR10."""

FASHION_SHA256: dict[str, str] = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of the unpacked IDX files (the gzip wrapping of Debian's and of Zalando's differ)."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One data set. `mean` and `std` per channel are of the training images as prepared, scaled to 0…1."""

    name: str
    title: str
    version: int
    """Of the prepared arrays: raised when they would come out otherwise."""
    augmentation: Augmentation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mend: str
    """What to do where it is missing; {folder} is filled in."""


_DATASETS = (
    Dataset(
        name="cifar10",
        title="CIFAR-10",
        version=1,
        augmentation="crop-flip",
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        mend="put torchvision's folder cifar-10-batches-py into {folder}, "
        "or name its parent with --data-dir or ORCH_DATA",
    ),
    Dataset(
        name="fashion-mnist",
        title="Fashion-MNIST",
        version=1,
        augmentation="crop-flip",
        mean=(0.2190, 0.2190, 0.2190),
        std=(0.3318, 0.3318, 0.3318),
        mend="install Debian's package dataset-fashion-mnist, or put the four IDX files into {folder}, "
        "or name their folder with --data-dir or ORCH_DATA",
    ),
    Dataset(
        name="digits",
        title="digits (scikit-learn)",
        version=1,
        # 1,797 centred digits: a mirrored digit is another sign, and three epochs have no use for shifts
        augmentation="none",
        mean=(0.3052, 0.3052, 0.3052),
        std=(0.3760, 0.3760, 0.3760),
        mend="install scikit-learn (pip install scikit-learn)",
    ),
)


def names() -> list[str]:
    """The known data sets."""
    return [dataset.name for dataset in _DATASETS]


def named(name: str) -> Dataset:
    """The data set of that name. Raises BadInput with the nearest match."""
    for dataset in _DATASETS:
        if dataset.name == name:
            return dataset
    near = get_close_matches(name, names(), n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known data sets: {', '.join(names())}"
    raise BadInput(f"unknown data set '{name}': {hint}")


def cache_folder() -> Path:
    """Where orch keeps downloads and prepared arrays: $XDG_CACHE_HOME/orch, by default ~/.cache/orch."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "orch"


def places(data_dir: Path | None) -> list[Path]:
    """Folders that are searched for files, in order; the first one receives a download."""
    if data_dir is not None:
        return [data_dir]
    given = os.environ.get("ORCH_DATA")
    return [*([Path(given)] if given else []), cache_folder() / "data"]


def find(dataset: Dataset, data_dir: Path | None) -> Path | None:
    """The folder that holds all files of a data set, unchecked; None where there is none."""
    if dataset.name == "digits":
        spec = importlib.util.find_spec("sklearn")
        return Path(spec.origin).parent if spec is not None and spec.origin else None
    return next((folder for folder in _candidates(dataset, data_dir) if _complete(dataset, folder)), None)


def _candidates(dataset: Dataset, data_dir: Path | None) -> Iterator[Path]:
    for place in places(data_dir):
        if dataset.name == "cifar10":
            yield from (place / "cifar-10-batches-py", place)
        else:
            yield from (place, place / "FashionMNIST" / "raw", place / "fashion-mnist")
    if dataset.name == "fashion-mnist":
        yield FASHION_PACKAGE


def _complete(dataset: Dataset, folder: Path) -> bool:
    if dataset.name == "cifar10":
        return all((folder / name).is_file() for name in CIFAR10_MD5)
    return all(idx_file(folder, name) is not None for name in FASHION_SHA256)


def idx_file(folder: Path, name: str) -> Path | None:
    """An IDX file, plain or gzipped."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def ensure(name: str, data_dir: Path | None = None, *, download: bool = True) -> Path:
    """The folder with a data set's files, fetched where they are missing and can be fetched.

    Two processes that need them at once fetch them once: the second waits for a file lock. Raises BadInput for an
    unknown name, DataError saying where it looked and what to do.
    """
    dataset = named(name)
    found = find(dataset, data_dir)
    if found is not None:
        return found
    trouble = ""
    if download and dataset.name != "digits":
        target = places(data_dir)[0]
        try:
            with lock(target, dataset.name):
                found = find(dataset, data_dir)  # another process may have fetched it while this one waited
                if found is None:
                    _download(dataset, target)
        except (OSError, RuntimeError) as error:  # torchvision raises RuntimeError for a wrong MD5
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            trouble = f"; fetching it failed: {reason}"
        found = found or find(dataset, data_dir)
        if found is not None:
            return found
    looked = (
        ", ".join(str(folder) for folder in _candidates(dataset, data_dir)) if dataset.name != "digits" else "sklearn"
    )
    mend = dataset.mend.format(folder=places(data_dir)[0])
    raise DataError(f"the data set {dataset.title} is missing: looked in {looked}{trouble}. To mend it, {mend}")


def _download(dataset: Dataset, target: Path) -> None:
    """Fetch by torchvision, which checks MD5 sums. Raises OSError or RuntimeError."""
    from torchvision import datasets as sources

    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30.0)  # a compute node behind a dropping firewall would hang for minutes
    try:
        source: Callable[..., object] = sources.CIFAR10 if dataset.name == "cifar10" else sources.FashionMNIST
        source(root=str(target), download=True)
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the file lock of one data set in a folder, made where it is missing. Raises OSError."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".orch-{name}.lock"):
        yield


def checked(path: Path, wanted: str, algorithm: Literal["md5", "sha256"], data: bytes | None = None) -> bytes:
    """The bytes of a file (or `data`, its unpacked content) if their digest is the wanted one. Raises DataError."""
    content = path.read_bytes() if data is None else data
    if hashlib.new(algorithm, content, usedforsecurity=False).hexdigest() != wanted:
        raise DataError(f"the data file {path} is damaged (wrong {algorithm.upper()}): delete it and fetch it again")
    return content
