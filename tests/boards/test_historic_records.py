"""Records of every shape that was ever committed: each is still read, and a board shows it or says why it does not.

A raised version of the protocol moves the last rows of RECORDS to those that are left out.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gdbench.boards.leaderboard import leaderboard
from gdbench.columns import columns_of
from gdbench.record import RunRecord
from gdbench.registry import load_registry

FOLDER = Path(__file__).parents[1] / "historic_records"
LEFT_OUT = "1 record of other versions of protocol or plugins left out"
RECORDS = {  # file -> method, shared directions with an earlier protocol, whether a board shows it
    "protocol_1": ("tossed", False, False),
    "protocol_1_with_blocks": ("duplicated", False, False),
    "migrated_directions": ("coordinate", True, False),
    "migrated_and_measured": ("dead", True, True),
    "discovery_and_evaluation": ("duplicated", False, True),
    "processor_instructions": ("replayed", False, True),
}


def read(name: str) -> RunRecord:
    return RunRecord.from_json((FOLDER / f"{name}.json").read_text(encoding="utf-8"), name)


def test_every_historic_record_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(RECORDS)


@pytest.mark.parametrize("name", RECORDS)
def test_a_historic_record_is_read_whole(name: str) -> None:
    """Nothing of the file is lost, fields that came later have their defaults, and it is written and read again."""
    method, migrated, _ = RECORDS[name]
    record, text = read(name), json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert (record.cell.method, record.status, bool(record.migrated_from)) == (method, "done", migrated)
    written = json.loads(record.to_json())
    assert {key: written[key] for key in text} == text
    assert {key: written[key] for key in written if key not in text} in (
        {},
        {"checkpoint_lacks": "", "migrated_from": ""},
    )
    assert RunRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("name", RECORDS)
def test_a_board_shows_a_historic_record_or_says_why_not(name: str) -> None:
    method, _, shown = RECORDS[name]
    record = read(name)
    made = leaderboard([record], columns_of(load_registry()))
    if not shown:
        assert (made.boards, made.notes) == ((), (LEFT_OUT,))
        return
    (board,) = made.boards
    (row,) = board.rows
    assert row.method == method
    assert row.runs == (record.id,)
    assert row.entry("recovery", "recall").mean == record.scores["recovery"]["recall"].value
    assert LEFT_OUT not in made.notes
