"""The one look of every HTML page: nothing is loaded from elsewhere, for a screen of any colour and for paper."""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import edgepose

STYLE = Path(__file__).with_name("style.css")


def document(title: str, body: str) -> str:
    """A page of our style around `body`."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><main>{body}{_foot()}</main></body></html>\n"
    )


def header(eyebrow: str, title: str, lines: Iterable[str]) -> str:
    """What stands above all; `title` and `lines` are HTML."""
    told = "".join(f"<p>{line}</p>" for line in lines)
    return f'<header><p class="eyebrow">{escape(eyebrow)}</p><h1>{title}</h1>{told}</header>'


def section(title: str, lead: str, body: str) -> str:
    """A heading, a sentence, and what it is about."""
    return f"<section><h2>{escape(title)}</h2>{f'<p>{lead}</p>' if lead else ''}{body}</section>"


def panel(body: str) -> str:
    """A framed part of a section."""
    return f'<div class="panel">{body}</div>'


def tile(name: str, value: str, note: str, kind: str = "") -> str:
    """One number that is seen first; `value` is HTML."""
    return (
        f'<div class="tile{f" {kind}" if kind else ""}"><div class="name">{escape(name)}</div>{value}'
        f'<div class="note">{escape(note)}</div></div>'
    )


def value(shown: str, unit: str = "") -> str:
    """The number of a tile."""
    return f'<div class="value">{shown}{f"<small> {unit}</small>" if unit else ""}</div>'


def tiles(shown: Iterable[str], kind: str = "") -> str:
    """Tiles beside each other."""
    return f'<div class="tiles{f" {kind}" if kind else ""}">{"".join(shown)}</div>'


def pairs(of: Mapping[str, str]) -> str:
    """A list of names and what they are."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in of.items())}</dl>"


def folded(summary: str, text: str) -> str:
    """A text that opens."""
    return f"<details><summary>{escape(summary)}</summary><pre>{escape(text)}</pre></details>"


def _foot() -> str:
    when = time.strftime("%Y-%m-%d %H:%M")
    return (
        f"<footer>edgepose {edgepose.__version__}, {when}, {escape(platform.machine())}, "
        f"Python {platform.python_version()}</footer>"
    )
