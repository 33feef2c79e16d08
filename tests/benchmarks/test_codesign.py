"""The report's tables from a sweep's rows: means over seeds, what did not hold, types, seconds, the picture."""

from pathlib import Path

import pandas as pd

from agn_hw.search.comparison import Row
from benchmarks import codesign


def sweep(path: Path) -> Path:
    rows = []
    for seed, energy in enumerate((0.10, 0.12, 0.17)):
        for strategy in ("kl", "agn"):
            for types in (None, 2) if strategy == "kl" else (None,):
                for retrained in (False, True) if types is None else (False,):
                    scale = (2 if strategy == "agn" else 1) * (0.5 if retrained else 1)
                    figures = (energy * scale, 0.9, 0.5, 0.1, 0.9, seed < 2, 3, 10.0, 20.0)
                    row = Row(strategy, types, 1.0, retrained, *figures)
                    rows.append({"model": "resnet8", "data": "digits", "seed": seed, **row.as_dict()})
    pd.DataFrame(rows).to_csv(path / "sweep.csv", index=False)
    return path / "sweep.csv"


def test_tables(tmp_path):
    rows = codesign.load(sweep(tmp_path))
    lines = codesign.strategies(rows).splitlines()
    assert lines[2].startswith("| resnet8, digits | 1 | kl | 13.0 (10.0 .. 17.0) [2/3 held] | 0.50 (0.50 .. 0.50)")
    assert "| 6.5 (5.0 .. 8.5) [2/3 held] |" in lines[2]
    assert next(line for line in lines if "| agn |" in line).split(" | ")[3].startswith("26.0")
    assert len(lines) == 2 + len(codesign.STRATEGIES)
    assert codesign.types(rows).splitlines()[2] == (
        "| resnet8, digits | 1 | kl | 13.0 (10.0 .. 17.0) [2/3 held] | 13.0 (10.0 .. 17.0) [2/3 held] |"
    )
    assert "10 + 20 + 10 + 20" in codesign.seconds(rows)


def test_picture(tmp_path):
    rows = codesign.load(sweep(tmp_path))
    assert codesign.draw(rows, 1.0) == codesign.draw(rows, 1.0)
    assert codesign.draw(rows, 1.0)[:4] == b"\x89PNG"
