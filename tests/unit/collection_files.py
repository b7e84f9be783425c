# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""OpenEuroLLM collections made by code: one dataset with texts, and a collection of 41 files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

PHONE = "+420 601 234 567"
TEXTS = {
    "d1": f"Please call {PHONE} before noon, said the harbour master to the crew.",
    "d2": "Which planet is the largest of the solar system? Jupiter is the answer.",
    "d3": "The orchard behind the copper works was planted by the grandmother of the mayor.",
    "d4": "Nobody had seen the lantern since the thunder of the night before the market.",
}
FLAG = """\
name: Letters
id: id
text: text
suffix: .jsonl.zst
release:
  default:
    input: source
    annotations: [nemo-curator, openai-privacy-filter]
    mask: [private_phone, secret]
    pack: tree
    sample: full
    shard: 74md
  ces_Latn:
    block: [d4]
nemo-curator:
  default:
    input: source
openai-privacy-filter:
  default:
    input: source
source:
  ces_Latn:
"""
BABY = """\
name: Letters
catalogue: letters/1.0
id: metadata.WARC-Record-ID
text: body[0].text
suffix: .jsonl.zst
annotations:
  contamination:
    owner: someone
    status: done
    suffix: .jsonl
  pii:
    owner: someone
    status: done
release:
  default:
    input: source
    pack: flat
    sample: random
    rubber: 5%
    shard: 1bd
    block:
    - d4
  ces_Latn:
    budget: 90%
    prefix: 01_0
"""


def packed_rows(rows: Sequence[Mapping[str, Any]], name: str) -> bytes:
    raw = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    return zstandard.compress(raw) if name.endswith((".zst", ".zstd")) else raw


def put(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed_rows(rows, path.name))


def seal(annotation: Path, source: Path, documents: int) -> None:
    """What an annotator writes when it is done."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (source, annotation)]
    row = {"input": digests[0], "documents": documents, "output": digests[1]}
    annotation.with_name(annotation.name + ".made-for.json").write_text(json.dumps(row))


def spans(text: str, label: str) -> list[dict[str, Any]]:
    at = text.index(PHONE)
    end = at + len(PHONE)
    return [{"id": "d1", "name": label, "value": PHONE, "start_pos": at, "end_pos": end}]


def make_dataset(path: Path, metadata: str = FLAG) -> Path:
    """One dataset of four documents, with annotations: d1 has a telephone, d2 is contaminated, d4
    is blocked."""
    baby = metadata.startswith(BABY[:30])
    path.mkdir(parents=True)
    (path / "metadata.yaml").write_text(metadata)
    rows: list[dict[str, Any]] = [
        {"metadata": {"WARC-Record-ID": name}, "body": [{"text": text}]}
        if baby
        else {"id": name, "text": text, "url": f"https://{name}.example/"}
        for name, text in TEXTS.items()
    ]
    source = path / "source" / "ces_Latn" / "a.jsonl.zst"
    put(source, rows)
    pii, contamination = ("pii", "contamination") if baby else (
        "openai-privacy-filter", "nemo-curator")  # fmt: skip
    found = path / pii / "ces_Latn" / "a.jsonl.zst"
    put(found, spans(TEXTS["d1"], "PHONE_NUMBER" if baby else "private_phone"))
    seal(found, source, len(TEXTS))
    asked = path / contamination / "ces_Latn" / ("a.jsonl" if baby else "a.jsonl.zst")
    put(asked, [{"id": "d2", "benchmark": "quiz", "score": 1.0}])
    seal(asked, source, len(TEXTS))
    return path


def count(documents: int, errors: int = 0) -> str:
    return json.dumps(
        {"files": 1, "bytes": 9, "documents": documents, "tokens": 9, "errors": errors,
         "tokenizer": "openeurollm/tokenizer-256k"}, indent=2
    )  # fmt: skip


DONE, NONE, INCLUDED = "\u2705", "\u2796", "\u2795"
PARTS = [25] * 20 + [40, 38, 28, 27, 1, 1, 1, 1, 1, 2] + [10] * 10  # 740 parts in 40 datasets


def make_collection(root: Path) -> list[tuple[str, int, str, str]]:
    """41 metadata files and 740 parts without texts, as a repository keeps them: 30 datasets of
    flag, 10 of baby and baby's own file. 445 counts of releases. Returns the faults that it has:
    67 releases without a document, and 4 datasets of which the table says another thing."""
    faults: list[tuple[str, int, str, str]] = []
    zero = {21: 38, 23: 27, 24: 1, 25: 1}  # datasets of flag, and how many of their parts
    release = 0
    table = [
        "# Flag",
        "",
        "| Path | Parts | Packing | Contamination | PII |",
        "|---|:-:|:-:|:-:|:-:|",
    ]
    mix = ["#", "# English", "#"]
    for number in range(30):
        folder = root / "flag" / f"set-{number:02d}"
        parts = [f"part{one:02d}_Latn" for one in range(PARTS[number])]
        has = number % 3 != 2
        make_flag(folder, number, parts, has)
        for place, part in enumerate(parts):
            below = folder / "counts" / part
            below.mkdir(parents=True)
            (below / "source.json").write_text(count(100))
            if number >= 20 or place < 15:  # 300 and 140
                empty = place < zero.get(number, 0)
                (below / "release.json").write_text(count(0 if empty else 90, 2405 * empty))
                release += 1
                if empty:
                    name = f"flag/set-{number:02d}/counts/{part}/release.json"
                    faults.append((name, 4, "documents", "no-documents"))
        wrong = number in (1, 4, 8, 11)
        mark = DONE if has != wrong else NONE
        if number == 5:
            mark = INCLUDED  # says nothing of what is complete
        struck = "~~" if number == 7 else ""
        asked = DONE if has else NONE
        name = f"{struck}set-{number:02d}{struck} (eng_Latn)"
        table.append(f"| {name} | 1 | {DONE} | {asked} | {mark} |")
        if wrong:
            faults.append(("flag/README.md", len(table), f"set-{number:02d}.PII", "contradiction"))
        mix.append(f"0.0{number:02d}\tset-{number:02d}/megatron-lm")
    (root / "flag" / "README.md").write_text("\n".join(table) + "\n")
    (root / "flag" / "datamix.txt").write_text("\n".join(mix) + "\n")
    make_baby(root / "baby")
    for number in range(5):  # the rest of the 445
        below = root / "baby" / f"set-{number}" / "counts" / "a"
        below.mkdir(parents=True)
        (below / "release.json").write_text(count(7))
        release += 1
    assert release == 445
    return sorted(faults)


def make_flag(folder: Path, number: int, parts: list[str], has: bool) -> None:
    """One dataset of flag. Between them they have every field of the dialect."""
    named = "[nemo-curator, openai-privacy-filter]" if has else ""
    rows = ["name:", "huggingface:", "catalogue: a/b", "id: id", "text: rollout_results[0].text",
            "suffix: .jsonl.zst", "branch: main", "commit: 99ee6aa", "release:", "  default:",
            "    input: sample", f"    annotations: {named}", "    pack: tree", "    sample: full",
            "    rubber: 1.5", "    scrub: [xml, md]"]  # fmt: skip
    rows += ["    mask: [account_number, private_email, secret]"] if has else []
    for part in parts:
        rows += [f"  {part}:", "    shard: 74md", "    budget: 21%", f"    prefix: 0{number}_0"]
    rows += ["sample:", "  default:", "    input: uuid", "    annotations: [propella-4b]",
             "    sample: dynamic", "    filter: ../sample/propella-filter.py",
             "    parameters: {}", "propella-4b:", "  hash: sha256", "uuid:", "  default:",
             "    input: source", "nemo-curator:", "  default:", "    input: source",
             "    text: text", "source:", "  default:", "    suffix: .jsonl.gz",
             *(f"  {part}:" for part in parts)]  # fmt: skip
    if number >= 28:  # parallel: documents are made of pairs, so there is no name and no text
        rows = [row for row in rows if not row.startswith(("id:", "text:"))]
        at = rows.index("    pack: tree")
        rows[at:at] = ["    parallel: {count: 40, flip: 0.5}"]
        rows += ["parallel:", "  source:", "    text: src_text", "    language: src_lang"]
        rows += ["hash:", "  type: sha256", "  key: hash"]
    folder.mkdir(parents=True)
    (folder / "metadata.yaml").write_text("\n".join(rows) + "\n")


def make_baby(folder: Path) -> None:
    """The cycle's own file, and ten datasets with every field of the dialect."""
    folder.mkdir(parents=True)
    names = [f"set-{number}" for number in range(10)]
    (folder / "metadata.yaml").write_text(
        "name: Baby\ndate: May 2026\ntokenizer: openeurollm/tokenizer-256k\nrelease:\n"
        "  filter: contamination # suppress\n  mask: pii\nsources:\n  default:\n    pack: tree\n"
        + "".join(f"  {name}:\n    parts: 10\n" for name in names)
    )
    for name in names:
        (folder / name).mkdir()
        extra = "url: https://a.example/\nwds: doc_scores\nregisters: web-register\n" + (
            "wds+register:\n  default:\n    input: source\n    pack: tree\n    length: 200\n"
            "    threshold: 0.4\n    coefficients:\n      dtp: 1.5\n      HI-IN: 1.5\n  als_Latn:\n"
        )
        parts = "".join(f"  p{one}/actual:\n    budget: {one + 1}%\n" for one in range(9))
        (folder / name / "metadata.yaml").write_text(BABY + parts + extra)
