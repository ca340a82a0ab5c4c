"""The idx reader against hand-made bytes, the search for the files, and which images train and which do not."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from gdbench_mnist import commands, files, idx
from gdbench_mnist.domain import Mnist, to_images
from typer.testing import CliRunner

from gdbench import IntegrityError, MissingFile

PICTURES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
DIGITS = np.array([7, 0, 9], np.uint8)


def pictures(values: np.ndarray = PICTURES) -> bytes:
    return struct.pack(">4I", 0x0803, *values.shape) + values.tobytes()


def digits(values: np.ndarray = DIGITS) -> bytes:
    return struct.pack(">2I", 0x0801, len(values)) + values.tobytes()


def many(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of one grey level each, which tells their row (modulo 250), and labels."""
    rows = np.arange(n)
    return np.broadcast_to((rows % 250).astype(np.uint8)[:, None, None], (n, 28, 28)), (rows % 10).astype(np.uint8)


def put(folder: Path, part: str, n: int) -> None:
    images, labels = many(n)
    (folder / f"{part}-images-idx3-ubyte").write_bytes(pictures(np.ascontiguousarray(images)))
    (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(digits(labels), 1))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_hand_made_bytes_are_read(tmp_path: Path, pack: type) -> None:
    (tmp_path / "images").write_bytes(pack(pictures()))
    (tmp_path / "labels").write_bytes(pack(digits()))
    images, labels = idx.read_pair(tmp_path / "images", tmp_path / "labels")
    assert (images == PICTURES).all()
    assert labels.tolist() == [7, 0, 9]


FAULTS = {
    "swapped": (digits(), "an idx file of labels"),
    "magic": (b"\x89PNG" + bytes(20), "no idx file of MNIST"),
    "type": (struct.pack(">4I", 0x0D03, 1, 28, 28) + bytes(784 * 4), "no idx file of MNIST"),
    "empty": (b"", "it has 0 bytes"),
    "header": (pictures()[:10], "within its header"),
    "truncated": (pictures()[:-1], "is truncated: 2351 bytes of values, its header promises 2352"),
    "long": (pictures() + b"\0", "too long"),
    "huge": (struct.pack(">4I", 0x0803, *[2**32 - 1] * 3), "is truncated"),
    "size": (pictures(np.zeros((2, 32, 32), np.uint8)), "images of 32x32 pixels, expected 28x28"),
    "gzip": (gzip.compress(pictures())[:-20], "no whole gzip file"),
    "bits": (b"\x1f\x8b" + bytes(40), "no whole gzip file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_of_images_is_one_clear_line(tmp_path: Path, fault: str) -> None:
    content, words = FAULTS[fault]
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(IntegrityError, match=words) as caught:
        idx.read_images(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_beyond_nine_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels").write_bytes(digits(np.array([1, 10], np.uint8)))
    with pytest.raises(IntegrityError, match="the label 10, expected 0 to 9"):
        idx.read_labels(tmp_path / "labels")


def test_images_and_labels_of_other_numbers_do_not_belong_together(tmp_path: Path) -> None:
    (tmp_path / "images").write_bytes(pictures())
    (tmp_path / "labels").write_bytes(digits(DIGITS[:2]))
    with pytest.raises(IntegrityError, match=r"3 images, but .* 2 labels"):
        idx.read_pair(tmp_path / "images", tmp_path / "labels")


def test_of_t10k_alone_the_last_two_thousand_do_not_train(tmp_path: Path) -> None:
    put(tmp_path, "t10k", 10_000)
    images, labels = files.training(tmp_path)
    assert len(images) == len(labels) == 8000
    assert (images[:, 0, 0] == np.arange(8000) % 250).all()


def test_the_larger_set_trains_whole_where_it_is_there(tmp_path: Path) -> None:
    put(tmp_path, "t10k", 20)
    put(tmp_path, "train", 60)
    assert len(files.training(tmp_path)[0]) == 60


def test_a_given_folder_goes_before_the_variable_and_that_before_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GDBENCH_MNIST", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert files.folder() == tmp_path / "gdbench" / "mnist"
    monkeypatch.setenv("GDBENCH_MNIST", str(tmp_path / "named"))
    assert files.folder() == tmp_path / "named"
    assert files.folder(tmp_path / "given") == tmp_path / "given"


def test_without_files_the_error_names_them_and_the_ways_to_them(tmp_path: Path) -> None:
    domain = Mnist(torch.device("cpu"), {}).with_data(tmp_path)
    with pytest.raises(MissingFile, match=r"t10k-images-idx3-ubyte .*--data.*GDBENCH_MNIST.*gdbench mnist fetch"):
        domain.training_images(2, np.random.default_rng(0))


def test_training_images_come_from_the_given_folder(tmp_path: Path) -> None:
    put(tmp_path, "t10k", 100)
    images = Mnist(torch.device("cpu"), {}).with_data(tmp_path).training_images(40, np.random.default_rng(0))
    assert images.shape == (40, 1, 32, 32)
    levels = ((images[:, 0, 16, 16] + 1) * 127.5).round()
    assert len(levels.unique()) > 20
    assert float(levels.max()) < 100


def test_padding_and_range() -> None:
    image = to_images(np.full((1, 28, 28), 255, np.uint8))[0, 0]
    assert (image[2:-2, 2:-2] == 1).all()
    assert float(image.sum()) == 28 * 28 - (32 * 32 - 28 * 28)


def test_the_shipped_images_are_the_last_of_t10k() -> None:
    """The hash is that of bytes 8,000 * 784 and on of the values of the official file."""
    images, labels = files.held_out()
    assert images.shape == (2000, 28, 28)
    assert np.bincount(labels).tolist() == [207, 230, 198, 207, 194, 169, 202, 215, 187, 191]
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == (
        "d1ba61f71fe54765ba9280780b3ba6b91fabd99d9ac173fabd20f82085938e7b"
    )


def test_fetch_shows_the_licence_and_downloads_nothing_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(commands, "download", lambda name, digest, target: asked.append(name))
    refused = CliRunner().invoke(commands.mnist, ["fetch", "--into", str(tmp_path)], input="n\n")
    assert refused.exit_code == 1
    assert "Attribution-ShareAlike" in refused.output
    assert asked == []
    assert CliRunner().invoke(commands.mnist, ["fetch", "--into", str(tmp_path), "--yes"]).exit_code == 0
    assert asked == list(commands.SHA256)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address of a server of this machine that gives the files of a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:  # a test that fails must not leave a thread that keeps the process alive
            server.shutdown()
            thread.join()


def test_a_download_with_another_hash_is_not_kept(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "t10k-labels-idx1-ubyte.gz").write_bytes(b"another file")
    with serve(source) as address, pytest.raises(IntegrityError, match="its sha256 is"):
        commands.download("t10k-labels-idx1-ubyte.gz", "0" * 64, tmp_path / "into", (address,))
    assert not (tmp_path / "into" / "t10k-labels-idx1-ubyte.gz").exists()


def test_the_second_mirror_is_asked_when_the_first_fails(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"right")
    digest = hashlib.sha256(b"right").hexdigest()
    with serve(source) as address:
        commands.download("file", digest, tmp_path, (f"{address}nothing/", address))
        with pytest.raises(MissingFile, match="the server answers 404"):
            commands.download("file", digest, tmp_path / "other", (f"{address}nothing/",))
    assert (tmp_path / "file").read_bytes() == b"right"
