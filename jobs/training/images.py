"""Images as arrays: read from a data set's own files, brought to 32×32×3, and kept memory-mapped, once per node.

Needs numpy, not torch. The prepared folder appears by one rename, so it is whole or absent.
"""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jobs.errors import DataError
from jobs.files import fsync_folder
from jobs.training import datasets
from jobs.training.datasets import CIFAR10_MD5, FASHION_SHA256, Dataset

Bytes = NDArray[np.uint8]

_TEST_EVERY = 5  # digits: each fifth image of a class is a test image


@dataclass(frozen=True)
class Arrays:
    """Images uint8 N×32×32×3 (channels last) and labels uint8 N, of both splits."""

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


_PARTS = tuple(Arrays.__dataclass_fields__)


def prepared(name: str, data_dir: Path | None = None) -> Arrays:
    """The arrays of a data set, memory-mapped copy-on-write from the node's cache, made there by the first who asks.

    Raises BadInput for an unknown name, DataError where the data is missing or damaged or no cache can be written.
    """
    dataset = datasets.named(name)
    folder = _cache(data_dir)
    home = folder / f"{dataset.name}-v{dataset.version}"
    arrays = _open(home)
    if arrays is not None:
        return arrays
    source = datasets.ensure(name, data_dir)
    try:
        with datasets.lock(folder, dataset.name):
            arrays = _open(home)  # another process may have made them while this one waited
            if arrays is None:
                _write(read(dataset, source), home)
                arrays = _open(home)
    except OSError as error:
        raise DataError(
            f"cannot keep the prepared images of {dataset.title} in {folder} ({error.strerror or error}): "
            "set XDG_CACHE_HOME to a folder with space"
        ) from error
    if arrays is None:
        raise DataError(f"the prepared images in {home} cannot be read back: delete that folder")
    return arrays


def _cache(data_dir: Path | None) -> Path:
    """The first folder that can be written: the user's cache, the data folder, the node's temporary folder."""
    private = Path(tempfile.gettempdir()) / f"orch-{os.getuid()}"
    homes = [datasets.cache_folder(), *([data_dir / ".orch-cache"] if data_dir else []), private]
    for home in homes:
        folder = home / "prepared"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        # in a temporary folder another user could have made it first, with images of his own
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise DataError(
        f"no folder for prepared images can be written (tried {', '.join(map(str, homes))}): set XDG_CACHE_HOME"
    )


def _open(home: Path) -> Arrays | None:
    """The prepared arrays, or None where they are absent or cut short."""
    try:
        return Arrays(*(np.load(home / f"{part}.npy", mmap_mode="c", allow_pickle=False) for part in _PARTS))
    except (OSError, ValueError, EOFError):
        return None


def _write(arrays: Arrays, home: Path) -> None:
    """Write all parts into a folder beside `home`, then rename it. Raises OSError."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
    try:
        for part in _PARTS:
            with (temporary / f"{part}.npy").open("wb") as handle:
                np.save(handle, getattr(arrays, part), allow_pickle=False)
                handle.flush()
                os.fsync(handle.fileno())
        if home.exists():  # what `_open` refused
            shutil.rmtree(home)
        temporary.rename(home)
        fsync_folder(home.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read(dataset: Dataset, source: Path) -> Arrays:
    """Read and check a data set's own files in `source`. Raises DataError for a damaged one."""
    if dataset.name == "cifar10":
        return read_cifar10(source, CIFAR10_MD5)
    if dataset.name == "fashion-mnist":
        return read_fashion(source)
    return read_digits()


def read_cifar10(source: Path, checksums: Mapping[str, str]) -> Arrays:
    """CIFAR-10 from its pickled batches (torchvision's and Toronto's format), each checked against its MD5 first.

    Raises DataError.
    """
    batches = [_cifar10_batch(source / name, wanted) for name, wanted in sorted(checksums.items())]
    train, test = batches[:-1], batches[-1]  # 'test_batch' sorts behind 'data_batch_*'
    return Arrays(
        np.concatenate([images for images, _ in train]), np.concatenate([labels for _, labels in train]), *test
    )


def _cifar10_batch(path: Path, wanted: str) -> tuple[Bytes, Bytes]:
    # unpickling runs code: only of bytes whose digest is known
    batch = pickle.loads(datasets.checked(path, wanted, "md5"), encoding="latin1")
    images = np.asarray(batch["data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1)), np.asarray(batch["labels"], dtype=np.uint8)


def read_fashion(source: Path) -> Arrays:
    """Fashion-MNIST from its IDX files: 28×28 padded to 32×32, repeated to 3 channels. Raises DataError."""
    parts = []
    for name, wanted in FASHION_SHA256.items():
        path = datasets.idx_file(source, name)
        if path is None:
            raise DataError(f"the data file {name} vanished from {source}: fetch the data set again")
        try:
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError) as error:  # BadGzipFile is an OSError
            raise DataError(f"the data file {path} cannot be read ({error}): delete it and fetch it again") from None
        parts.append(idx(datasets.checked(path, wanted, "sha256", content)))
    train, train_labels, test, test_labels = parts
    return Arrays(_three_channels(_pad(train)), train_labels, _three_channels(_pad(test)), test_labels)


def idx(content: bytes) -> Bytes:
    """An IDX file of unsigned bytes (yann.lecun.com/exdb/mnist): its array. Raises ValueError for another type."""
    if content[:3] != b"\0\0\x08":
        raise ValueError("not an IDX file of unsigned bytes")
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape.tolist())


def read_digits() -> Arrays:
    """scikit-learn's 1,797 digits (UCI, 8×8 pixels of 0…16): each pixel enlarged to 4×4, repeated to 3 channels.

    The split is fixed and stratified: in the package's order, each fifth image of a class is a test image.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(np.asarray(bunch.images) * (255 / 16)).astype(np.uint8)
    images = _three_channels(pixels.repeat(4, axis=1).repeat(4, axis=2))
    labels = np.asarray(bunch.target, dtype=np.uint8)
    test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[_TEST_EVERY - 1 :: _TEST_EVERY]] = True
    return Arrays(images[~test], labels[~test], images[test], labels[test])


def _pad(images: Bytes) -> Bytes:
    return np.pad(images, ((0, 0), (2, 2), (2, 2)))


def _three_channels(images: Bytes) -> Bytes:
    return np.repeat(images[..., None], 3, axis=3)
