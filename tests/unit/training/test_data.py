"""Data sets: reading their formats, checks, the cache, fetching once, augmentation on the device."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets as torchvision_datasets

from jobs.errors import BadInput, DataError
from jobs.training import data, datasets, images

PER_BATCH = 7


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ORCH_DATA", raising=False)
    return tmp_path / "cache" / "orch"


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small data folder in torchvision's CIFAR-10 format, with checksums to match."""
    folder = tmp_path / "data" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name in datasets.CIFAR10_MD5:
        batch = {
            "data": draw.integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8),
            "labels": [int(label) for label in draw.integers(0, 10, PER_BATCH)],
        }
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcdefghij")}, protocol=2))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    meta = sums.pop("batches.meta")
    monkeypatch.setattr(images, "CIFAR10_MD5", sums)
    source = torchvision_datasets.CIFAR10
    monkeypatch.setattr(source, "train_list", [[name, sums[name]] for name in sorted(sums) if name != "test_batch"])
    monkeypatch.setattr(source, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(source, "meta", {**source.meta, "md5": meta})
    return tmp_path / "data"


def test_cifar10_reads_as_torchvision_reads_it(cifar10: Path) -> None:
    arrays = images.prepared("cifar10", cifar10)
    for train, pixels, labels in (
        (True, arrays.train_images, arrays.train_labels),
        (False, arrays.test_images, arrays.test_labels),
    ):
        reference = torchvision_datasets.CIFAR10(str(cifar10), train=train)
        assert np.array_equal(pixels, reference.data)
        assert labels.tolist() == reference.targets
    assert arrays.train_images.shape == (5 * PER_BATCH, 32, 32, 3)


def test_a_damaged_batch_is_refused_before_it_is_unpickled(cifar10: Path, tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    bomb = f"cos\nsystem\n(S'touch {witness}'\ntR.".encode()
    (cifar10 / "cifar-10-batches-py" / "data_batch_3").write_bytes(bomb)
    with pytest.raises(DataError, match=r"data_batch_3 is damaged \(wrong MD5\): delete it"):
        images.prepared("cifar10", cifar10)
    assert not witness.exists()


def test_the_cache_serves_without_the_source(cifar10: Path, own_cache: Path) -> None:
    first = images.prepared("cifar10", cifar10)
    (cifar10 / "cifar-10-batches-py").rename(cifar10 / "gone")
    again = images.prepared("cifar10", cifar10)
    assert isinstance(again.train_images, np.memmap)
    assert np.array_equal(first.train_images, again.train_images)
    assert sorted(path.name for path in (own_cache / "prepared").iterdir() if path.is_dir()) == ["cifar10-v1"]


def test_a_cut_cache_is_made_anew(cifar10: Path, own_cache: Path) -> None:
    whole = images.prepared("cifar10", cifar10)
    path = own_cache / "prepared" / "cifar10-v1" / "train_images.npy"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    assert np.array_equal(images.prepared("cifar10", cifar10).train_images, whole.train_images)


def test_a_data_folder_of_the_environment_is_found(cifar10: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCH_DATA", str(cifar10))
    assert datasets.ensure("cifar10") == cifar10 / "cifar-10-batches-py"
    assert datasets.ensure("cifar10", cifar10 / "cifar-10-batches-py") == cifar10 / "cifar-10-batches-py"


def test_missing_data_says_where_it_looked_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        datasets.ensure("cifar10", tmp_path / "nothing", download=False)
    text = str(caught.value)
    assert str(tmp_path / "nothing" / "cifar-10-batches-py") in text
    assert "CIFAR-10" in text and "--data-dir" in text and "ORCH_DATA" in text


def test_a_failed_download_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dataset: datasets.Dataset, target: Path) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(datasets, "_download", refuse)
    with pytest.raises(DataError, match="fetching it failed: no route to host"):
        datasets.ensure("cifar10", tmp_path)


def test_an_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="'cifar100': did you mean 'cifar10'"):
        datasets.ensure("cifar100")


FETCH = """
import os, sys, time
from pathlib import Path
from jobs.training import datasets

def download(dataset, target):
    with (target / "fetched").open("a") as log:
        log.write("x")
    end = time.monotonic() + 30
    while len(list(here.iterdir())) < 3:  # all three want it now
        assert time.monotonic() < end
        time.sleep(0.01)
    folder = target / "cifar-10-batches-py"
    folder.mkdir()
    for name in datasets.CIFAR10_MD5:
        (folder / name).write_bytes(b"")

datasets._download = download
here = Path(sys.argv[2])
(here / str(os.getpid())).touch()
print(datasets.ensure("cifar10", Path(sys.argv[1])))
"""


def test_workers_that_need_it_at_once_fetch_it_once(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    command = [sys.executable, "-c", FETCH, str(tmp_path / "new"), str(tmp_path / "here")]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = {worker.communicate(timeout=60)[0].strip() for worker in workers}
    assert told == {str(tmp_path / "new" / "cifar-10-batches-py")}
    assert (tmp_path / "new" / "fetched").read_text() == "x"


def test_idx_files_plain_and_gzipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    contents = {}
    for name in datasets.FASHION_SHA256:
        array = pixels if "images" in name else labels
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape)
        contents[name] = header + array.tobytes()
    monkeypatch.setattr(images, "FASHION_SHA256", {n: hashlib.sha256(c).hexdigest() for n, c in contents.items()})
    for name, content in contents.items():  # torchvision's layout, half of it still packed
        folder = tmp_path / "FashionMNIST" / "raw"
        folder.mkdir(parents=True, exist_ok=True)
        packed = name.startswith("t10k")
        (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    arrays = images.prepared("fashion-mnist", tmp_path)
    assert arrays.train_images.shape == (6, 32, 32, 3)
    assert np.array_equal(arrays.test_images[:, 2:30, 2:30, 1], pixels)
    assert arrays.train_images[:, :2].max() == 0
    assert arrays.test_labels.tolist() == list(range(6))


def test_digits_are_split_evenly_and_without_overlap() -> None:
    arrays = images.prepared("digits")
    assert (len(arrays.train_labels), len(arrays.test_labels)) == (1442, 355)
    for label in range(10):
        share = (arrays.test_labels == label).sum() / (
            (arrays.test_labels == label).sum() + (arrays.train_labels == label).sum()
        )
        assert 0.19 < share <= 0.2
    assert arrays.train_images.max() == 255
    pixels = arrays.train_images.astype(np.float64) / 255
    assert pixels.mean() == pytest.approx(datasets.named("digits").mean[0], abs=1e-4)
    assert pixels.std() == pytest.approx(datasets.named("digits").std[0], abs=1e-4)


def test_a_cache_that_cannot_be_written_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    images.prepared("digits", tmp_path / "data")
    assert (tmp_path / "data" / ".orch-cache" / "prepared" / "digits-v1").is_dir()


def test_crop_and_flip_are_those_of_the_plain_way() -> None:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 32, 32, 3), generator=draw, dtype=torch.uint8)
    top = torch.randint(0, 9, (40,), generator=draw)
    left = torch.randint(0, 9, (40,), generator=draw)
    flip = torch.randint(0, 2, (40,), generator=draw).bool()
    out = data.crop_flip(pixels, top, left, flip, torch.arange(64))
    for n in range(40):
        padded = torch.zeros(40, 40, 3, dtype=torch.uint8)
        padded[4:36, 4:36] = pixels[n]
        window = padded[top[n] : top[n] + 32, left[n] : left[n] + 32]
        assert torch.equal(out[n], window.flip(1) if flip[n] else window)
    assert len({(int(a), int(b)) for a, b in zip(top, left, strict=True)}) > 20


def batches(size: int = 64, seed: int = 0, augmentation: datasets.Augmentation | None = None) -> data.Batches:
    loaded = data.load("digits")
    return data.Batches(loaded.train[:200], loaded.dataset, size, torch.Generator().manual_seed(seed), augmentation)


def test_an_epoch_holds_every_image_once_and_the_short_rest_too() -> None:
    stream = batches()
    assert stream.sizes == (64, 64, 64, 8)
    stream.shuffle()
    seen = torch.cat([stream.take(size)[0] for size in stream.sizes])
    plain = data.Normaliser(datasets.named("digits"), torch.device("cpu"))(data.load("digits").train[:200].images)
    assert seen.shape == (200, 3, 32, 32) and seen.dtype == torch.float32
    order = sorted(range(200), key=lambda n: seen[n].flatten().tolist())
    wanted = sorted(range(200), key=lambda n: plain[n].flatten().tolist())
    assert torch.equal(seen[order], plain[wanted])


@pytest.mark.parametrize("augmentation", ["crop-flip", "none"])
def test_a_sought_step_gives_the_same_batch(augmentation: datasets.Augmentation) -> None:
    stream, other = batches(augmentation=augmentation), batches(augmentation=augmentation)
    stream.shuffle()
    taken = [stream.take(size) for size in stream.sizes]
    other.shuffle()
    other.seek(2)
    for (images_a, labels_a), (images_b, labels_b) in zip(taken[2:], [other.take(64), other.take(8)], strict=True):
        assert torch.equal(images_a, images_b) and torch.equal(labels_a, labels_b)
    assert taken[0][0].is_contiguous(memory_format=torch.channels_last)


def test_epochs_and_seeds_differ() -> None:
    stream, other = batches(), batches(seed=1)
    draws = []
    for source in (stream, stream, other):
        source.shuffle()
        draws.append(source.take(64)[1].tolist())
    assert draws[0] != draws[1] and draws[0] != draws[2]


def test_normalised_images_have_mean_0_and_deviation_1() -> None:
    loaded = data.load("digits")
    pixels = data.Normaliser(loaded.dataset, torch.device("cpu"))(loaded.train.images)
    assert float(pixels.mean()) == pytest.approx(0, abs=1e-3)
    assert float(pixels.std()) == pytest.approx(1, abs=1e-3)


def test_prepared_images_are_read_from_the_cache_and_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = images.prepared("digits")
    monkeypatch.setattr("sklearn.datasets.load_digits", lambda *args, **more: pytest.fail("prepared a second time"))
    second = images.prepared("digits")
    assert first.train_images.tobytes() == second.train_images.tobytes()
    assert first.test_labels.tolist() == second.test_labels.tolist()


@pytest.mark.skipif(not datasets.FASHION_PACKAGE.is_dir(), reason="Debian's package dataset-fashion-mnist is absent")
def test_debians_fashion_mnist() -> None:
    arrays = images.prepared("fashion-mnist")
    assert len(arrays.train_labels) == 60_000 and len(arrays.test_labels) == 10_000
    assert np.bincount(arrays.test_labels).tolist() == [1000] * 10
    levels = np.arange(256) / 255
    shares = np.bincount(arrays.train_images[..., 0].ravel(), minlength=256) / arrays.train_images[..., 0].size
    mean = (shares * levels).sum()
    dataset = datasets.named("fashion-mnist")
    assert mean == pytest.approx(dataset.mean[0], abs=1e-4)
    assert ((shares * (levels - mean) ** 2).sum()) ** 0.5 == pytest.approx(dataset.std[0], abs=1e-4)
