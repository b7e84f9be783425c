# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""The public summary as files that are checked against a signed statement of the ledger."""

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bastide.app.corpora import manifest_of
from bastide.app.duties import require
from bastide.app.environment import Environment
from bastide.app.naming import named_dataset
from bastide.app.public_summary import Answers, answer_all
from bastide.core.canonical import canonical
from bastide.core.errors import NotProven
from bastide.core.evidence import Evidence, Statement
from bastide.core.key import Purpose
from bastide.core.subject import Digest, Subject
from bastide.core.summary_template import NOT_EVIDENCED, SECTIONS, Answer
from bastide.core.utc import utc_day

__all__ = ["Summary", "check_summary", "html_page", "make_summary", "markdown_page",
           "record_summary"]  # fmt: skip

TYPE: Final = "https://bastide.eu/public-summary/v1"
_STYLE: Final = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
table { width: 100%; table-layout: fixed; border-collapse: collapse; }
th, td { border-top: 1px solid; padding: 0.4rem 0.6rem; text-align: left; vertical-align: top; }
td { font-size: 0.9rem; }
tbody th { font-weight: normal; }
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary: its values, its forms as bytes by suffix, and its statement if it is signed."""

    value: Mapping[str, Any]
    forms: Mapping[str, bytes]
    statement: Evidence | None


def make_summary(env: Environment, names: Sequence[str], stated: Answers) -> Summary:
    """The summary of some datasets as a draft, which nobody signed."""
    require(env, "summary-write")
    rows = [named_dataset(env.ledger, name) for name in names]
    answers = answer_all(env, [(row, manifest_of(env, row)) for row in rows], stated)
    versions = [
        Answer("0.a", NOT_EVIDENCED, ""),
        Answer("0.b", NOT_EVIDENCED, ""),
    ]
    value = _value([row.subject for row in rows], [*versions, *answers])
    return Summary(value, _forms(value), None)


def record_summary(env: Environment, draft: Summary) -> Summary:
    """Give a draft its version, and sign its digests. The same content again is the one signed."""
    require(env, "summary-write")
    content = str(Digest.of(canonical(draft.value)))
    datasets = [row["digest"] for row in draft.value["datasets"]]
    before = [row for row in env.ledger.find("summary/v1") if row.body["datasets"] == datasets]
    known = next((row for row in before if row.body["content"] == content), None)
    earlier = before if known is None else before[: before.index(known)]
    time_ms = env.clock.now_ms() if known is None else known.body["time_ms"]
    value = _versioned(draft.value, earlier, time_ms)
    forms = _forms(value)
    if known is None:
        body = {
            "datasets": datasets,
            "content": content,
            "version": len(earlier) + 1,
            "previous": str(earlier[-1].digest) if earlier else None,
            "forms": {suffix: str(Digest.of(data)) for suffix, data in forms.items()},
            "time_ms": time_ms,
        }
        subject = Subject("summary", Digest.of(forms["json"]))
        statement = Statement("summary/v1", (subject,), body)
        known = env.ledger.append_statement(statement, [env.signer(Purpose.EVIDENCE)])
    if {suffix: str(Digest.of(data)) for suffix, data in forms.items()} != known.body["forms"]:
        raise NotProven(
            "this version of the program writes the signed summary differently",
            fix="keep the files that were written when it was signed",
        )
    return Summary(value, forms, known)


def check_summary(env: Environment, data: bytes) -> Evidence:
    """The statement that a file is a form of. Raises NotProven if no statement names it."""
    require(env, "read")
    digest = str(Digest.of(data))
    for row in env.ledger.find("summary/v1"):
        if digest in row.body["forms"].values():
            return row
    raise NotProven(f"no signed summary has the digest {digest}", fix="was the file changed?")


def _value(datasets: Sequence[Subject], answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "type": TYPE,
        "template": "C(2025) 8311 of 5 December 2025, sections 1 to 3",
        "datasets": [{"name": one.name, "digest": str(one.digest)} for one in datasets],
        "fields": [answer.to_json() for answer in answers],
    }


def _versioned(
    draft: Mapping[str, Any], earlier: Sequence[Evidence], time_ms: int
) -> dict[str, Any]:
    """The draft with its fields 0.a and 0.b. Earlier versions are named by digest."""
    day = utc_day(time_ms)
    links = "; ".join(
        f"version {row.body['version']}: {row.subject.digest} (entry {row.entry})"
        for row in earlier
    )
    version = f"{len(earlier) + 1}; previous: {links or 'none'}"
    rows = [
        Answer("0.a", version, "summary/v1").to_json(),
        Answer("0.b", day, "summary/v1").to_json(),
    ]
    return {**draft, "fields": [*rows, *draft["fields"][2:]]}


def _forms(value: Mapping[str, Any]) -> dict[str, bytes]:
    data = canonical(value)
    digest = str(Digest.of(data))
    return {
        "json": data,
        "md": markdown_page(value, digest).encode(),
        "html": html_page(value, digest).encode(),
    }


def markdown_page(value: Mapping[str, Any], digest: str) -> str:
    """The summary in Markdown. What is markup in a value is shown, not followed."""
    lines = ["# Public summary of training content", "", f"Template: {value['template']}", ""]
    lines += [f"Digest of the summary in JSON: `{digest}`", ""]
    for section, title in SECTIONS.items():
        lines += [f"## {section} {title}", "", "| field | value | source |", "| --- | --- | --- |"]
        lines += [
            f"| {row['field']} {row['title']} | {_plain(row['value'])} | {_plain(row['source'])} |"
            for row in value["fields"]
            if _section(row["field"]) == section
        ]
        lines.append("")
    return "\n".join(lines)


def html_page(value: Mapping[str, Any], digest: str) -> str:
    """The summary as one page without scripts, styles from elsewhere or links.

    The one style that a browser applies is the page's own, which its policy names by hash.
    """
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy"'
        f" content=\"default-src 'none'; style-src 'sha256-{style}'\">",
        '<meta name="viewport" content="width=device-width">',
        "<title>Public summary of training content</title>",
        f"<style>{_STYLE}</style>\n</head>\n<body>",
        "<h1>Public summary of training content</h1>",
        f"<p>Template: {html.escape(value['template'])}</p>",
        f"<p>Digest of the summary in JSON: <code>{html.escape(digest)}</code></p>",
    ]
    for section, title in SECTIONS.items():
        parts.append(f"<h2>{section} {html.escape(title)}</h2>\n<table>")
        parts.append("<thead><tr><th>field</th><th>value</th><th>source</th></tr></thead>")
        parts += [
            f"<tr><th>{html.escape(row['field'])} {html.escape(row['title'])}</th>"
            f"<td>{html.escape(row['value'])}</td><td>{html.escape(row['source'])}</td></tr>"
            for row in value["fields"]
            if _section(row["field"]) == section
        ]
        parts.append("</table>")
    return "\n".join([*parts, "</body>\n</html>\n"])


def _section(name: str) -> str:
    return max((one for one in SECTIONS if name.startswith(one + ".")), key=len)


def _plain(text: str) -> str:
    """A text in a cell of Markdown: no markup of it, no HTML, no end of the cell."""
    text = html.escape(" ".join(text.split()), quote=False)
    for mark in "\\`*_{}[]()#!|~":
        text = text.replace(mark, "\\" + mark)
    return text
