"""A picture of a run: plain SVG, readable on a light page and on a dark one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from bench.report import heading

WIDTH, BAR, GAP, LEFT, RIGHT, TOP = 820, 16, 14, 170, 190, 74
AT_LIMIT: Final = 0.95  # of a core: from here the load generator may have been what was measured
SCENARIOS: Final = (("S1, 100 clients", "many", "100 clients"), ("S1, 1,000 clients", "more", "1,000 clients"))
CRASH: Final = "crash"
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.page { fill: #ffffff; stroke: #d1d9e0; }
.many { fill: #0969da; } .more { fill: #8250df; } .lost { fill: #cf222e; } .none { fill: #1a7f37; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .page { fill: #0d1117; stroke: #3d444d; }
  .many { fill: #4493f8; } .more { fill: #ab7df8; } .lost { fill: #f85149; } .none { fill: #3fb950; }
}
"""


def picture(kept: Mapping[str, Any]) -> str:
    """Draw S1 of each server over TLS with 100 and 1,000 clients, and what kill -9 lost, from a kept result."""
    results: Mapping[str, Mapping[str, Mapping[str, float]]] = kept["results"]
    wanted = {CRASH, *(scenario for scenario, _, _ in SCENARIOS)}
    shown = {name: each for name, each in results.items() if not name.endswith(", plain") and wanted <= each.keys()}
    most = max(server[scenario]["per_s"] for server in shown.values() for scenario, _, _ in SCENARIOS)
    row = 2 * BAR + GAP
    height = TOP + len(shown) * row + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img">',
        "<title>Messages a second over TLS, and accepted messages that were lost by kill -9</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6"/>',
        _text(16, 28, "Messages a second over TLS 1.3, server on one core; accepted messages lost by kill -9", "title"),
        *_key(),
    ]
    for number, (name, server) in enumerate(shown.items()):
        label = heading(name, kept["versions"]).removesuffix(", TLS")
        parts += _server(label, server, TOP + number * row, (WIDTH - LEFT - RIGHT) / most)
    machine = kept["machine"]
    parts.append(
        _text(16, height - 14, f"{machine['cpu']}, {machine['system']}, Python {machine['python']}, {kept['commit']}")
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _key() -> Iterator[str]:
    x = LEFT
    for _, kind, text in SCENARIOS:
        yield f'<rect class="{kind}" x="{x}" y="45" width="12" height="12"/>'
        yield _text(x + 18, 56, text)
        x += 130
    yield _text(x, 56, "≥: the load generator was at its limit")


def _server(label: str, server: Mapping[str, Mapping[str, float]], y: float, scale: float) -> Iterator[str]:
    yield _text(16, y + BAR + 5, label)
    for place, (scenario, kind, _) in enumerate(SCENARIOS):
        rate = server[scenario]["per_s"]
        top, width = y + place * BAR, rate * scale
        yield f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR - 2}"/>'
        least = "≥ " if server[scenario]["load_busy"] > AT_LIMIT else ""
        yield _text(LEFT + width + 6, top + BAR - 4, f"{least}{rate:,.0f}")
    lost = server[CRASH]["lost"]
    yield _text(WIDTH - 16, y + BAR + 5, f"{lost:,.0f} lost", "lost" if lost else "none", end=True)


def _text(x: float, y: float, text: str, kind: str = "", *, end: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{x:.1f}" y="{y:.1f}"{anchor}>{escape(text)}</text>'
