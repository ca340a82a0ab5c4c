"""Finding, importing, fetching and verifying weights, with a toy family that knows one official format."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gdbench import (
    Checkpoint,
    Codes,
    GeneratorSpec,
    IntegrityError,
    MissingFile,
    UsageError,
    load_weights,
    normal,
    read_facts,
    save_weights,
    sha256,
)
from gdbench.weights.checkpoints import (
    default_folder,
    entries,
    fetch_checkpoint,
    find,
    licence_of,
    verify,
)
from gdbench.weights.importing import import_checkpoint


@dataclass(frozen=True)
class Toy:
    image_shape: tuple[int, int, int]
    level: float = 0.0
    spaces: tuple[str, ...] = ("z",)

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return Codes(normal(rng, n, 2), space)

    def render(self, codes: Codes) -> Tensor:
        return (codes.latents[:, :1, None, None] + self.level).expand(-1, *self.image_shape)


def load(path: Path, params: Any, device: torch.device) -> Toy:
    weight, facts = load_weights(path)["weight"], read_facts(path)
    side = int(weight.shape[0] * facts["scale"])
    return Toy((3, side, side), float(weight.sum()))


def recognise(path: Path) -> str | None:
    file = path / "w.pt" if path.is_dir() else path
    if not file.is_file():
        return None
    content = load_weights(file)
    return "official" if isinstance(content, dict) and "W" in content else None


def convert(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    content = load_weights(path / "w.pt" if path.is_dir() else path)
    return {"weight": content["W"]}, {"scale": content.get("scale", 1), "notes": ["a note"]}


TOY = GeneratorSpec(name="toy", summary="", load=load, recognise=recognise, convert=convert)
OTHER = GeneratorSpec(name="other", summary="", load=load, recognise=lambda path: None, convert=convert)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return write(tmp_path / "Portraits (1).pt", 4)


def write(path: Path, rows: int, **more: Any) -> Path:
    torch.save({"W": torch.arange(float(rows)), **more}, path)
    return path


def test_the_default_folder_follows_the_standard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "gdbench" / "checkpoints"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "share" / "gdbench" / "checkpoints"


def test_an_import_writes_weights_and_a_card(official: Path, folder: Path) -> None:
    card = import_checkpoint(official, [OTHER, TOY], folder, domain="faces", licence="CC0-1.0")
    path = folder / "toy" / card.file
    assert (card.name, card.domain, card.licence, card.resolution) == ("portraits-1", "faces", "CC0-1.0", 4)
    assert card.sha256 == sha256(path)
    assert card.size == path.stat().st_size
    assert torch.equal(load_weights(path)["weight"], torch.arange(4.0))
    assert read_facts(path) == {"scale": 1, "domain": "faces", "family": "toy", "format": "official"}
    text = path.with_suffix(".json").read_text()
    assert str(official.parent) not in text
    about = json.loads(text)["card"]
    assert about["family"] == "toy"
    assert about["format"] == "official"
    assert about["source"] == official.name
    assert about["source_sha256"] == sha256(official)
    assert about["spaces"] == ["z"]
    assert about["notes"] == ["a note"]


def test_an_imported_checkpoint_is_found_by_name_and_by_path(official: Path, folder: Path) -> None:
    by_path = find(TOY, official, folder)
    assert by_path == find(TOY, by_path.name, folder) == find(TOY, str(official), folder)
    assert by_path.path is not None
    assert by_path == find(TOY, by_path.path, folder)
    assert by_path.sha256 == sha256(by_path.path)
    assert len(list((folder / "toy").iterdir())) == 2


def test_a_file_of_ours_that_names_no_family_is_imported_once_the_family_is_said(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights(path, {"weight": torch.arange(4.0)}, {"scale": 1})
    with pytest.raises(UsageError, match="could belong to other, toy: say which, --gan NAME"):
        import_checkpoint(path, [OTHER, TOY], folder)
    assert import_checkpoint(path, [TOY], folder).card["family"] == "toy"


def test_a_folder_is_imported_whole(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "SN_Toy").mkdir()
    write(tmp_path / "SN_Toy" / "w.pt", 4)
    assert find(TOY, tmp_path / "SN_Toy", folder).name == "sn_toy"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no known layout"):
        find(TOY, tmp_path / "empty", folder)


def test_other_weights_of_the_same_name_get_another(tmp_path: Path, folder: Path) -> None:
    first = find(TOY, write(tmp_path / "w.pt", 4), folder)
    second = find(TOY, write(tmp_path / "w.pt", 8), folder)
    assert first.name == "w"
    assert second.name == f"w-{sha256(tmp_path / 'w.pt')[:8]}"
    assert find(TOY, "w", folder).sha256 == first.sha256
    with pytest.raises(UsageError, match="another checkpoint"):
        import_checkpoint(tmp_path / "w.pt", [TOY], folder, name="w")


@pytest.mark.parametrize("name", ["../escape", "a/b", "Upper", "", ".hidden", "x" * 65])
def test_names_cannot_leave_the_folder(name: str, official: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="name"):
        import_checkpoint(official, [TOY], folder, name=name)
    assert not folder.exists()


def test_facts_can_be_overridden(official: Path, folder: Path) -> None:
    card = import_checkpoint(official, [TOY], folder, name="double", facts={"scale": 2})
    assert card.resolution == 8
    assert read_facts(folder / "toy" / card.file)["scale"] == 2
    assert find(TOY, official, folder).name == "portraits-1"
    assert find(TOY, "double", folder).checkpoint == card


def test_a_fact_that_the_format_does_not_have_is_refused(official: Path, folder: Path) -> None:
    for name in ("scal", "format"):
        with pytest.raises(UsageError, match=f"unknown fact of official '{name}'.*scale"):
            import_checkpoint(official, [TOY], folder, facts={name: 2})
    assert not list((folder / "toy").glob("*"))


def test_the_domain_of_a_family_is_that_of_files_of_which_nothing_is_known(official: Path, folder: Path) -> None:
    assert import_checkpoint(official, [TOY], folder).domain == "unknown"
    made = import_checkpoint(official, [replace(TOY, domain="photographs")], folder / "2")
    assert (made.domain, made.licence) == ("photographs", "unknown")
    assert find(replace(TOY, domain="photographs"), official, folder / "3").checkpoint.domain == "photographs"  # type: ignore[union-attr]


def test_a_domain_given_later_replaces_unknown(official: Path, folder: Path) -> None:
    assert import_checkpoint(official, [TOY], folder).domain == "unknown"
    assert import_checkpoint(official, [TOY], folder, domain="faces").domain == "faces"
    found = find(TOY, official, folder)
    assert found.checkpoint is not None
    assert found.path is not None
    assert found.checkpoint.domain == read_facts(found.path)["domain"] == "faces"


def test_our_own_files_travel_with_their_facts(official: Path, folder: Path, tmp_path: Path) -> None:
    made = import_checkpoint(official, [TOY], folder, domain="faces", licence="CC0-1.0")
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"{made.name}{suffix}").write_bytes((folder / "toy" / f"{made.name}{suffix}").read_bytes())
    copy = import_checkpoint(tmp_path / f"{made.name}.safetensors", [OTHER, TOY], tmp_path / "elsewhere")
    assert (copy.domain, copy.licence, copy.resolution) == ("faces", "CC0-1.0", 4)
    with pytest.raises(UsageError, match="no known layout of other"):
        import_checkpoint(tmp_path / f"{made.name}.safetensors", [OTHER], tmp_path / "elsewhere")


def test_weights_that_do_not_load_leave_nothing(tmp_path: Path, folder: Path) -> None:
    path = write(tmp_path / "w.pt", 4, scale="two")
    with pytest.raises(IntegrityError, match="does not fit toy"):
        import_checkpoint(path, [TOY], folder)
    assert list(folder.glob("*")) == []


def test_one_broken_family_does_not_stop_the_others(official: Path, folder: Path) -> None:
    def broken(path: Path) -> str:
        raise KeyError("surprise")

    careless = replace(OTHER, recognise=broken)
    assert import_checkpoint(official, [careless, TOY], folder).card["family"] == "toy"
    with pytest.raises(IntegrityError, match="does not fit other: KeyError"):
        import_checkpoint(official, [careless], folder)


def test_two_families_that_recognise_one_file(official: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="other, toy"):
        import_checkpoint(official, [replace(OTHER, recognise=recognise), TOY], folder)


def test_a_flipped_bit_is_found_at_use(official: Path, folder: Path) -> None:
    found = find(TOY, official, folder)
    assert found.path is not None
    data = bytearray(found.path.read_bytes())
    data[-1] ^= 1
    found.path.write_bytes(data)
    assert [verdict.state for verdict in verify([TOY], folder)] == ["damaged"]
    with pytest.raises(IntegrityError, match=found.sha256):
        find(TOY, found.name, folder)
    assert find(TOY, official, folder).sha256 == found.sha256  # converted again
    assert [verdict.state for verdict in verify([TOY], folder)] == ["ok"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "portraits-1"}'])
def test_a_damaged_card_is_reported_and_stops_nothing(text: str, official: Path, folder: Path) -> None:
    found = find(TOY, official, folder)
    assert found.path is not None
    found.path.with_suffix(".json").write_text(text)
    assert [(verdict.state, verdict.name) for verdict in verify([TOY], folder)] == [("damaged", found.name)]
    assert find(TOY, official, folder).sha256 == found.sha256


def test_a_card_cannot_point_outside(official: Path, folder: Path, tmp_path: Path) -> None:
    found = find(TOY, official, folder)
    assert found.path is not None
    card = json.loads(found.path.with_suffix(".json").read_text())
    for field, value in (
        ("file", f"../../{official.name}"),
        ("file", f"../toy/{found.name}.safetensors"),
        ("shipped", True),
    ):
        found.path.with_suffix(".json").write_text(json.dumps({**card, field: value}))
        assert entries([TOY], folder) == []


def test_unknown_names_and_paths(folder: Path, official: Path) -> None:
    find(TOY, official, folder)
    with pytest.raises(UsageError, match="did you mean 'portraits-1'"):
        find(TOY, "portraits", folder)
    with pytest.raises(MissingFile, match=r"nowhere\.pt"):
        find(TOY, "nowhere.pt", folder)
    with pytest.raises(MissingFile, match="no checkpoint here"):
        find(OTHER, None, folder)


def test_a_family_without_weights(folder: Path) -> None:
    family = GeneratorSpec(name="formula", summary="", load=load)
    found = find(family, None, folder)
    assert (found.name, found.path, found.checkpoint, found.sha256) == ("none", None, None, "")
    assert find(family, found.name, folder) == found


PAGE = Checkpoint("by-hand", "faces", "by-hand.pkl", licence="NC", card={"page": "https://example.org/weights"})


def test_missing_weights_say_how_to_get_them(folder: Path) -> None:
    card = Checkpoint("big", "faces", "big.pkl", "ab" * 32, 381_000_000, "https://example.org/big.pkl", "NC")
    spec = replace(TOY, checkpoints=(card, PAGE))
    with pytest.raises(MissingFile) as caught:
        find(spec, "big", folder, offline=True)
    for part in ("big.pkl", "381.0 MB", "ab" * 32, card.url, str(folder / "toy"), "gdbench checkpoint fetch toy big"):
        assert str(part) in str(caught.value)
    with pytest.raises(MissingFile, match=r"example\.org/weights.*checkpoint import FILE --name by-hand"):
        find(spec, "by-hand", folder)
    assert "licence NC" in licence_of(card)
    assert [verdict.state for verdict in verify([spec], folder)] == ["missing", "missing"]


def test_an_imported_file_that_is_gone_names_the_source_to_import_again(official: Path, folder: Path) -> None:
    card = import_checkpoint(official, [TOY], folder)
    (weights,) = folder.rglob(f"{card.name}.safetensors")
    weights.unlink()
    said = re.escape(f"{card.name}.safetensors is gone; import its source {official.name} again")
    with pytest.raises(MissingFile, match=said):
        find(TOY, card.name, folder)


def test_a_file_got_by_hand_takes_the_official_card(official: Path, folder: Path) -> None:
    card = import_checkpoint(official, [replace(TOY, checkpoints=(PAGE,))], folder, name="by-hand")
    assert (card.domain, card.licence) == ("faces", "NC")
    known = Checkpoint("known", "cats", "known.pt", sha256(official), licence="BY")
    card = import_checkpoint(official, [replace(TOY, checkpoints=(known,))], folder / "2")
    assert (card.name, card.domain, card.licence) == ("known", "cats", "BY")
    with pytest.raises(UsageError, match="another checkpoint"):
        import_checkpoint(
            official, [replace(TOY, checkpoints=(replace(known, sha256="0" * 64),))], folder / "3", name="known"
        )


def test_shipped_weights(folder: Path, tmp_path: Path) -> None:
    here = Path(__file__)
    card = Checkpoint("small", "scenes", f"weights/{here.name}", sha256(here), shipped=True)
    preview = replace(card, name="early", status="preview")
    spec = replace(TOY, checkpoints=(preview, card))
    assert find(spec, None, folder).name == "early"  # the family's first, whatever gates it misses
    assert find(replace(TOY, checkpoints=(replace(card, shipped=False), preview)), None, folder).name == "early"
    assert find(spec, "small", folder).path == here
    with pytest.raises(IntegrityError, match="its card says"):
        find(replace(TOY, checkpoints=(replace(card, sha256="0" * 64),)), None, folder)
    with pytest.raises(MissingFile, match="installation"):
        find(replace(TOY, checkpoints=(replace(card, file="weights/nothing"),)), "small", folder)
    assert not folder.exists()


def test_nothing_takes_the_name_of_shipped_weights(official: Path, folder: Path) -> None:
    import_checkpoint(official, [TOY], folder, name="small")
    here = Path(__file__)
    spec = replace(
        TOY, checkpoints=(Checkpoint("small", "scenes", f"weights/{here.name}", sha256(here), shipped=True),)
    )
    assert find(spec, "small", folder).path == here
    assert [entry.path for entry in entries([spec], folder)] == [here]
    with pytest.raises(UsageError, match="another checkpoint"):
        import_checkpoint(official, [spec], folder / "2", name="small")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "www").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield tmp_path / "www", f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_fetched_file_is_checked_converted_and_found(
    served: tuple[Path, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    www, address = served
    write(www / "a.pt", 4)
    card = Checkpoint("a", "cats", "a.pt", sha256(www / "a.pt"), url=f"{address}/a.pt", licence="BY")
    spec = replace(TOY, checkpoints=(card,))
    made = fetch_checkpoint(spec, "a", folder)
    assert (made.name, made.domain, made.licence, made.resolution) == ("a", "cats", "BY", 4)
    assert find(spec, "a", folder).checkpoint == made
    (folder / "toy" / made.file).unlink()
    (folder / "toy" / "a.json").unlink()
    assert find(spec, "a", folder).sha256 == made.sha256  # from the official file that is still here
    wrong = replace(TOY, checkpoints=(replace(card, sha256="0" * 64),))
    with pytest.raises(IntegrityError, match="0000"):
        fetch_checkpoint(wrong, "a", folder / "2")
    with pytest.raises(UsageError, match="unknown official"):
        fetch_checkpoint(spec, "b", folder)


def test_the_published_first_digits_of_a_hash_are_checked(
    served: tuple[Path, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    www, address = served
    write(www / "a.pt", 4)
    card = Checkpoint("a", "cats", "a.pt", url=f"{address}/a.pt", card={"sha256_starts": "0" * 8, "megabytes": 5})
    spec = replace(TOY, checkpoints=(card,))
    with pytest.raises(IntegrityError, match="published 00000000"):
        fetch_checkpoint(spec, "a", folder)
    (folder / "toy" / "a.pt").write_bytes((www / "a.pt").read_bytes())
    with pytest.raises(IntegrityError, match="its card says 00000000"):
        find(spec, "a", folder)
    right = replace(card, card={"sha256_starts": sha256(www / "a.pt")[:8]})
    assert fetch_checkpoint(replace(TOY, checkpoints=(right,)), "a", folder).name == "a"
    assert "about 5 MB" in licence_of(card)


def test_a_download_that_is_no_checkpoint_does_not_stay(
    served: tuple[Path, str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    www, address = served
    (www / "a.pt").write_bytes(write(www / "b.pt", 4).read_bytes()[:-50])
    spec = replace(TOY, checkpoints=(Checkpoint("a", "cats", "a.pt", url=f"{address}/a.pt"),))
    with pytest.raises(IntegrityError, match=r"truncated.*was removed"):
        fetch_checkpoint(spec, "a", folder)
    assert not (folder / "toy" / "a.pt").exists()
    write(www / "a.pt", 4)
    assert fetch_checkpoint(spec, "a", folder).name == "a"


def test_weights_of_a_stranger_cannot_pretend_to_be_ours(tmp_path: Path, folder: Path) -> None:
    save_weights(tmp_path / "w.safetensors", {"nothing": torch.zeros(1)}, {"family": "toy"})
    with pytest.raises(IntegrityError, match="does not fit toy"):
        find(TOY, tmp_path / "w.safetensors", folder)
