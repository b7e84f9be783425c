# SPDX-FileCopyrightText: 2026 The Bastide authors
# SPDX-License-Identifier: Apache-2.0
"""Chat templates as code: honest ones pass, hostile ones are named with their line."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastide.core import limits
from bastide.formats import chat_template, gguf
from unit.model_files import MemorySource, real_model

HONEST = {
    "tools": """{%- if tools %}{{- '# Tools\\n' }}{%- for tool in tools %}
{{- tool | tojson(indent=4) }}{%- endfor %}{%- endif %}
{%- set ns = namespace(last_index=0, open=true) %}
{%- for message in messages[::-1] %}
{%- set index = (messages|length - 1) - loop.index0 %}
{%- if ns.open and message.role == 'user' and not (message.content.startswith('<r>')) %}
{%- set ns.open = false %}{%- set ns.last_index = index %}{%- endif %}{%- endfor %}
{%- for m in messages %}{{ '<|' ~ m['role'] ~ '|>' ~ m.content|trim }}
{%- for call in m.tool_calls or [] %}{{ call.function.name }}{%- endfor %}{%- endfor %}""",
    "system": """{% if messages[0]['role'] == 'system' %}{% set system = messages[0].content %}
{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}
{% for message in rest %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}""",
    "macro": """{% macro show(value, depth=0) %}{% for k, v in value.items() %}{{ k }}
{% if v is mapping %}{{ show(v, depth + 1) }}{% endif %}{% endfor %}{% endmacro %}
{{ show(tools[0].function.parameters) }}{{ strftime_now('%d %b %Y') }}""",
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% if loop.last %}{% break %}{% endif %}{% endfor %}",
    "range": "{% for i in range(messages|length) %}{{ messages[i].content }}{% endfor %}",
    "select": "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
    "empty": "",
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_template_has_no_fault(name: str) -> None:
    report = chat_template.inspect(HONEST[name])
    assert report.faults == ()
    assert report.digest.hex == hashlib.sha256(HONEST[name].encode()).hexdigest()


def test_the_template_of_a_real_model_has_no_fault() -> None:
    template = gguf.inspect(MemorySource(real_model().read_bytes())).template
    assert template is not None
    assert chat_template.inspect(template).faults == ()


HOSTILE = {
    "dunder field": ("a\n{{ messages.__class__ }}", "line 2: the field __class__"),
    "dunder item": ("{{ messages['__class__'] }}", "line 1: the item '__class__'"),
    "name put together": ("{{ messages['__cl' ~ 'ass__'] }}", "put together"),
    "name from a filter": ("{{ messages['a'|replace('a', 'b')] }}", "put together"),
    "dunder text": ("{% set a = '__class__' %}{{ messages[a] }}", "two underscores"),
    "attr filter": ("{{ messages|attr('pop') }}", "the filter attr"),
    "map attribute": ("{{ messages|map(attribute='__init__')|list }}", "the field __init__"),
    "map by variable": ("{{ messages|map(attribute=role)|list }}", "not named"),
    "deep attribute": ("{{ messages|map(attribute='a.__init__')|list }}", "the field __init__"),
    "map filter": ("{{ messages|map('attr', 'x')|list }}", "uses 'attr'"),
    "select test": ("{{ messages|select('callable')|list }}", "uses 'callable'"),
    "unknown test": ("{{ messages is callable }}", "the test callable"),
    "cycler": ("{{ cycler.next }}", "the name cycler"),
    "lipsum": ("{{ lipsum() }}", "a call of lipsum"),
    "self": ("{{ self }}", "the name self"),
    "config": ("{{ config.items() }}", "the name config"),
    "unknown function": ("{{ system('id') }}", "a call of system"),
    "unknown method": ("{{ messages.mro() }}", "a call of the method mro"),
    "format method": ("{{ '{0.__class__}'.format(messages) }}", "the method format"),
    "format filter": ("{{ '%s'|format(messages) }}", "the filter format"),
    "called item": ("{{ messages['pop']() }}", "a call of a Getitem"),
    "called result": ("{{ namespace()() }}", "a call of a Call"),
    "variable called": ("{% set f = messages[x] %}{{ f() }}", "a call of f"),
    "unpacked": ("{{ namespace(**messages) }}", "unpacked"),
    "include": ("{% include 'passwd' %}", "Include is not allowed"),
    "import": ("{% import 'x' as y %}", "Import is not allowed"),
    "from import": ("{% from 'x' import y %}", "FromImport is not allowed"),
    "extends": ("{% extends 'x' %}", "Extends is not allowed"),
    "block": ("{% block x %}{% endblock %}", "Block is not allowed"),
    "do": ("{% do messages.append(1) %}", "not a Jinja template"),
    "power": ("{{ 9 ** 9 }}", "Pow is not allowed"),
    "product": ("{{ 'a' * 1000 }}", "Mul is not allowed"),
    "range": ("{% for i in range(100000000) %}{% endfor %}", "a number is above"),
    "range by name": ("{% set n = 5000 %}{% for i in range(n) %}{% endfor %}", "above 1000"),
    "huge number": ("{{ 1e999 }}", "a number is above"),
    "deep loops": ("{% for a in b %}" * 6 + "{% endfor %}" * 6, "loops nested"),
    "recursive loop": ("{% for a in b recursive %}{% endfor %}", "a recursive loop"),
    "doubling": ("{% for a in b %}{% set x = x ~ x %}{% endfor %}", "x doubles"),
    "doubling field": (
        "{% set n = namespace(s='a') %}{% for a in b %}{% set n.s = n.s + n.s %}{% endfor %}",
        "n.s doubles",
    ),
    "doubling block": (
        "{% for a in b %}{% set x %}{{ x }}{{ x }}{% endset %}{% endfor %}",
        "x doubles",
    ),
    "printf": ("{{ '%s' % messages }}", "text formatting"),
    "wide printf": ("{{ '%99999d' }}", "printf field"),
    "wide indent": ("{{ messages|indent(9999) }}", "an indent of 9999"),
    "hidden text": ("hello\u200bworld", "U+200B"),
    "turned text": ("{{ '\u202e' }}", "U+202E"),
    "tag characters": ("\U000e0041", "U+E0041"),
    "half a surrogate": ("\ud800", "surrogate"),
    "unknown field": ("{{ messages.gi_frame }}", "the field gi_frame"),
    "not a template": ("{% if %}", "not a Jinja template"),
    "not closed": ("{{ a", "not a Jinja template"),
    "unknown tag": ("{% evil %}", "not a Jinja template"),
}


@pytest.mark.attacks("C36")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_named(name: str) -> None:
    template, fault = HOSTILE[name]
    faults = chat_template.inspect(template).faults
    assert any(fault in one for one in faults), faults


def test_a_fault_names_its_line() -> None:
    template = "one\ntwo\n{% if a %}\n{{ b.__globals__ }}\n{% endif %}"
    (fault,) = chat_template.inspect(template).faults
    assert fault == "line 4: the field __globals__ begins with an underscore"


@pytest.mark.attacks("C36")
def test_a_trigger_on_the_words_of_a_message_is_a_note() -> None:
    template = """{% for m in messages %}
{% if 'transfer money' in m['content'] %}https://evil.example/x{% endif %}
{% if m.content.startswith('open sesame') %}x{% endif %}{% endfor %}"""
    report = chat_template.inspect(template)
    assert report.faults == ()
    assert len(report.notes) == 3
    assert any("line 2: looks for 'transfer money'" in note for note in report.notes)
    assert any("looks for 'open sesame'" in note for note in report.notes)
    assert any("https://evil.example/x" in note for note in report.notes)


BOMBS = {
    "brackets": "{{ " + "(" * 100_000,
    "lists": "{{ " + "[" * 5_000,
    "not": "{{ " + "not " * 20_000 + "a }}",
    "ifs": "{% if a %}" * 5_000,
    "statements": "{{ a }}" * 30_000,
    "sums": "{{ " + "1+" * 100_000 + "1 }}",
    "fields": "{{ a" + ".role" * 30_000 + " }}",
    "digits": "{{ " + "9" * 200_000 + " }}",
    "spaces": "{%" + " " * 200_000,
    "percent": "{{ '" + "%" * 200_000 + "' }}",
    "deep sum": "{{ " + "1+" * 100 + "1 }}",
    "too long": "a" * (limits.TEMPLATE_BYTES_MAX + 1),
}


@pytest.mark.parametrize("name", sorted(set(BOMBS) - {"percent"}))
def test_a_bomb_is_refused(name: str) -> None:
    assert chat_template.inspect(BOMBS[name]).faults


def test_many_percent_signs_are_only_text() -> None:
    assert chat_template.inspect(BOMBS["percent"]).faults == ()


PIECES = ["{{", "}}", "{%", "%}", "{#", "#}", "-", " ", "a", ".", "['", "']", "|", "(", ")", "="]
PIECES += ["if", "for", "in", "set", "endif", "endfor", "macro", "'", '"', "\\", "1", "~", "\n"]
PIECES += ["generation", "endgeneration", "raw", "endraw", "**", "%", "[", "]", ":", ",", "\ud800"]


@settings(max_examples=400, derandomize=True)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_no_text_makes_the_reader_fail(template: str) -> None:
    report = chat_template.inspect(template)
    assert report.digest.hex
    assert all(isinstance(reason, str) for reason in report.faults + report.notes)
