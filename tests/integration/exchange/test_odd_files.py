"""Files that nobody wrote on purpose: each is taken in whole or refused by a sentence, and the store stays sound."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from db import results
from db.store import Store
from jobs.errors import BadInput
from orchestrator.exchange.importing import take_in
from orchestrator.exchange.resultrows import read
from orchestrator.tables import generic, stats, table2

CSV = (
    b"kind,method,search_epoch,seed,dataset,test_accuracy,params,shortcuts,repeat,epochs,metrics.seed,config,origin\n"
    b'evaluate,A,50,0,cifar10,93.5,21000000,4,,300,7,"{""lr"":0.5,""search"":""s1""}",\n'
    b'random-baseline,A,50,0,cifar10,93.1,21000000,4,1,150,8,"{""match"":""count""}",\n'
    b'command,,,3,,0.93,,,,,,"{""argv"":[""a"",""{seed}""]}","{""key"":""k1"",""flags"":{""a"":""b""},""gpu_seconds"":2.5}"\n'
)
JSON_LINES = (
    b'{"kind": "evaluate", "method": "B", "search_epoch": 100, "seed": 1, "dataset": "digits", "test_accuracy": 91}\n'
    b'{"kind": "search", "method": "A", "seed": 2, "dataset": "digits", "readouts": [1, 2], "val_accuracy": 88.5}\n'
    b'{"kind": "command", "seed": 3, "x": 1e9, "origin": {"key": "k", "gpu_seconds": 1, "lacking": ["y"]}}\n'
)
PIECES = [
    *(b"", b"\0", b"\xff", b"\xed\xa0\x80", b'"', b",", b"\r", b"\n", b"{", b"}", b"[[[[", b"1e999", b"-1", b"NaN"),
    *(b"9" * 400, b"null", b"true", b"\\ud800", b"\xe2\x80\xa8", b"=cmd|x", b"\x1b]0;x\x07", b"config", b"origin"),
]
FILES = 400


def mutated(text: bytes, random: Random) -> bytes:
    """One to four cuts, copies, swaps or strange pieces."""
    for _ in range(random.randint(1, 4)):
        place, end = sorted(random.randrange(len(text) + 1) for _ in range(2))
        piece = random.choice([random.choice(PIECES), text[place:end], bytes([random.randrange(256)])])
        end = place if random.random() < 0.5 else min(len(text), place + random.choice([1, 1, 3, 20]))
        text = text[:place] + piece + text[end:]
    return text


@pytest.mark.parametrize(("name", "text"), [("r.csv", CSV), ("r.jsonl", JSON_LINES)])
def test_a_mutated_file_is_taken_in_or_refused(tmp_path: Path, name: str, text: bytes) -> None:
    store = Store(tmp_path / ".orch", create=True)
    path = tmp_path / name
    taken = refused = 0
    for seed in range(FILES):
        path.write_bytes(mutated(text, Random(f"{name}/{seed}")))
        try:
            rows = read(path)
        except BadInput as error:
            refused += 1
            assert 10 < len(str(error)) < 3000
            continue
        taken += 1
        take_in(store, f"study {seed}", rows, name)
        with store.read() as connection:
            found = results.rows(connection, f"study {seed}")
        assert len(found) == len(rows)
        for table in table2.build_all(found):
            stats.compute(table).contract()
        generic.group(found, ["kind"], [next((name for row in found for name in row.metrics), "seed")])
    assert taken > FILES / 50 and refused > FILES / 4
