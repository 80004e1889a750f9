"""Reading a manifest as Open does, compared with a csv.reader loop; and its memory.

Ours is the loop of `services.batches.manifest_rows`: blocks of a megabyte, each entry as a row, an
index of the chunks, all findings. That is all of Open's work on a manifest except S3: it checks the
encoding, characters, headers, every field of every row, and repeated names.

The peer reads the same file with csv.reader and "|" between fields, like a script for one purpose.
It skips "#" lines, strips the fields, and checks that their number is right, the URL is http or
https with a host (urlsplit), the algorithm is known, the digest is hexadecimal and has the right
length, the size is a number, and the name is given and unique. Then it writes the row with
json.dumps. Two more loops are shown: the same checks without writing, and a sloppy loop that counts
fields and checks the beginning of the URL.

Exact form: every row has all columns, as our own writer writes them. Odd: every hundredth row
leaves out its last, empty columns, or has unneeded blanks and capitals.
"""

import csv
import json
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.output import Figures, main, rounded, say
from benchmarks.processes import peak_mb
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.profiles import SINGLE_FILE_BATCH
from jobyard.domain.manifests.reader import ManifestReader
from jobyard.domain.manifests.writer import manifest
from jobyard.services.batches.manifest_rows import Findings, ManifestOutput, write_rows

LINES = 200_000
FEW, MANY = 1_000, 1_000_000
RUNS = 5
CHUNK_SIZE = 100
_BLOCK = 1024 * 1024
_LENGTHS = {"md5": 32, "sha-256": 64, "sha-512": 128}
_HEX = re.compile("[0-9a-f]+")
COLUMNS = len(SINGLE_FILE_BATCH.columns)


class RowsDiffer(Exception):
    """A reader found a wrong row, or another number of rows."""


def measure() -> Figures:
    """Lines per second of a manifest, compared with a loop over csv.reader."""
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        here = Path(folder)
        exact = write_manifest(here / "exact.checkm", LINES, odd=False)
        odd = write_manifest(here / "odd.checkm", LINES, odd=True)
        few = write_manifest(here / "few.checkm", FEW, odd=False)
        many = write_manifest(here / "many.checkm", MANY, odd=False)
        rates: dict[str, list[float]] = {name: [] for name in LOOPS}
        odd_rates: dict[str, list[float]] = {name: [] for name in ("ours", "checking")}
        for _ in range(RUNS):
            for name, loop in LOOPS.items():
                rates[name].append(_rate(loop, exact, here / "out"))
            for name, each in odd_rates.items():
                each.append(_rate(LOOPS[name], odd, here / "out"))
        growth = _peak_mb(many, here / "out") - _peak_mb(few, here / "out")
    median = {name: rounded(values, 0) for name, values in rates.items()}
    odd_median = {name: rounded(values, 0) for name, values in odd_rates.items()}
    for name, rate in median.items():
        say(f"{name:>12}: {rate:>9,.0f} lines/s")
    for name, rate in odd_median.items():
        say(f"{name:>12}: {rate:>9,.0f} lines/s where 1 % of the rows are odd")
    return {
        "ratio": round(median["ours"] / median["checking"], 2),
        "growth_mb": round(growth, 1),
        "lines_per_s": median["ours"],
        "csv_lines_per_s": median["checking"],
        "ratio_nothing_written": round(median["ours"] / median["only checks"], 2),
        "ratio_sloppy": round(median["ours"] / median["sloppy"], 2),
        "odd_lines_per_s": odd_median["ours"],
        "odd_ratio": round(odd_median["ours"] / odd_median["checking"], 2),
    }


def write_manifest(path: Path, lines: int, *, odd: bool) -> Path:
    """Write a manifest of `lines` files to `path`."""
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    entries = (
        Entry(
            number,
            "file",
            f"https://files.example.org/collection/maps/{number:07d}/sheet.tif",
            f"sheet-{number:07d}.tif",
            "sha-256",
            digest,
            1_000_000 + number,
            local=(f"maps:{number:07d}",),
            creator="Survey",
            title=f"Sheet {number}",
            date="1871",
        )
        for number in range(1, lines + 1)
    )
    with path.open("wb") as file:
        for number, line in enumerate(manifest(entries, SINGLE_FILE_BATCH)):
            file.write(_odd(line, number) if odd and number % 100 == 99 else line)
    return path


def _odd(line: bytes, number: int) -> bytes:
    if number % 200 == 99:
        return line.rsplit(b"|", 2)[0].rstrip() + b"\n"  # title and date left out
    return line.replace(b"sha-256", b"  SHA-256 ")


def _ours(path: Path, out: Path) -> int:
    chunks = out.with_suffix(".index")
    with path.open("rb") as file, chunks.open("wb") as index, out.open("wb") as lines:
        blocks = iter(lambda: file.read(_BLOCK), b"")
        reading = ManifestReader(blocks, filename=path.name)
        write_rows(reading, ManifestOutput(lines, index, Findings()), CHUNK_SIZE)
    return reading.job_count


def _checked(path: Path) -> Iterator[dict[str, object]]:
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        for number, raw in enumerate(csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE), 1):
            if not raw or raw[0].startswith("#"):
                continue
            fields = [field.strip() for field in raw]
            if len(fields) > COLUMNS:
                raise RowsDiffer(f"line {number}: too many fields")
            fields += [""] * (COLUMNS - len(fields))
            url, algorithm, digest, size, _, name, primary, local, creator, title, date = fields
            parts = urlsplit(url)
            if parts.scheme not in {"http", "https"} or not parts.netloc:
                raise RowsDiffer(f"line {number}: no URL")
            algorithm, digest = algorithm.lower(), digest.lower()
            if len(digest) != _LENGTHS.get(algorithm) or not _HEX.fullmatch(digest):
                raise RowsDiffer(f"line {number}: no digest")
            if not size.isdecimal() or not name or name in seen:
                raise RowsDiffer(f"line {number}: no size, or no unique name")
            seen.add(name)
            yield {
                "line": number,
                "kind": "file",
                "url": url,
                "name": name,
                "algorithm": algorithm,
                "digest": digest,
                "size": int(size),
                "primary": primary,
                "local": local.split(";"),
                "creator": creator,
                "title": title,
                "date": date,
            }


def _checking(path: Path, out: Path) -> int:
    count = 0
    with out.open("w", encoding="utf-8") as file:
        for row in _checked(path):
            file.write(json.dumps(row) + "\n")
            count += 1
    return count


def _only_checks(path: Path, out: Path) -> int:
    return sum(1 for _ in _checked(path))


def _sloppy(path: Path, out: Path) -> int:
    count = 0
    with path.open(encoding="utf-8", newline="") as file:
        for fields in csv.reader(file, delimiter="|"):
            if fields and not fields[0].startswith("#"):
                if len(fields) != COLUMNS or not fields[0].startswith("http"):
                    raise RowsDiffer(f"{fields} is not a row")
                count += 1
    return count


LOOPS: dict[str, Callable[[Path, Path], int]] = {
    "ours": _ours,
    "checking": _checking,
    "only checks": _only_checks,
    "sloppy": _sloppy,
}


def _rate(loop: Callable[[Path, Path], int], path: Path, out: Path) -> float:
    began = time.perf_counter()
    rows = loop(path, out)
    took = time.perf_counter() - began
    if rows != LINES:
        raise RowsDiffer(f"{loop.__name__} found {rows} rows of {LINES}")
    return rows / took


def _peak_mb(path: Path, out: Path) -> float:
    """Peak memory in MB of a new process that reads the manifest at `path`."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_read_and_measure, (path, out))


def _read_and_measure(path: Path, out: Path) -> float:
    _ours(path, out)
    return peak_mb()


if __name__ == "__main__":
    main("manifest", measure)
