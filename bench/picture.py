"""One row as an SVG: a bar for each figure, its ceiling and its peers on one scale. Standard library only."""
from html import escape

WIDTH, LABEL, BAR, LINE = 860, 330, 400, 22
COLOURS = {'value': '#1f6f8b', 'ceiling': '#9aa5b1', 'peer': '#d9b26f'}


def bars(row, entries):
    lines, y = [], 34
    for entry in entries:
        figures = [('value', 'Sluice', entry['value'])]
        if entry['ceiling']:
            figures.append(('ceiling', entry['ceiling']['name'], entry['ceiling']['value']))
        figures += [('peer', name, value) for name, value in entry['peers'].items()]
        top = max(abs(value) for _, _, value in figures) or 1
        lines.append(f'<text x="10" y="{y + 12}" font-weight="bold">{escape(entry["what"])} ({escape(entry["unit"])}), median of {entry["runs"]}</text>')
        y += LINE
        for kind, name, value in figures:
            length = max(1, abs(value) / top * BAR)
            lines.append(f'<text x="{LABEL - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
                         f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="16" fill="{COLOURS[kind]}"/>'
                         f'<text x="{LABEL + length + 6:.1f}" y="{y + 13}">{value:,}</text>')
            y += LINE
        y += 12
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="13">'
            f'<rect width="100%" height="100%" fill="white"/><text x="10" y="20" font-size="16">{escape(row)}</text>{"".join(lines)}</svg>\n')
