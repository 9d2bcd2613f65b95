"""Plots as SVG, in plain Python and one look: light and dark by the reader's preference, what is
ours in the one warm colour, a title and a description for those who do not see it.

Each function returns the text of a file. Values are points in time or rates that are positive; what
is not is left out of a logarithmic axis.
"""

import math
from xml.sax.saxutils import escape

WIDTH = 760
LETTER = 6.7  # of 12 px, about: no font is asked
STYLE = """
text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}
.t{font-size:15px;font-weight:600}.m{fill:#59636e}.e{text-anchor:end}.c{text-anchor:middle}
.b{fill:#fff}.g{stroke:#d8dee4}.k{stroke:#1f2328;fill:none}
.i{stroke:#818b98;stroke-dasharray:2 4;fill:none}
.o{fill:#d9480f}.p{fill:#8c959f}.h{fill:none;stroke:#59636e;stroke-dasharray:4 3}
.l{fill:none;stroke-width:2}.s0{stroke:#d9480f;stroke-width:3}.f0{fill:#d9480f}
.s1{stroke:#2f6fab}.f1{fill:#2f6fab}.s2{stroke:#3a8a4f}.f2{fill:#3a8a4f}
.s3{stroke:#8250df}.f3{fill:#8250df}.s4{stroke:#9a6700}.f4{fill:#9a6700}
.s5{stroke:#1b7c83}.f5{fill:#1b7c83}.s6{stroke:#bf3989}.f6{fill:#bf3989}
.s7{stroke:#6e7781}.f7{fill:#6e7781}.s8{stroke:#d9480f}.f8{fill:#d9480f}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.m{fill:#9198a1}.b{fill:#0d1117}
.g{stroke:#30363d}.k{stroke:#e6edf3}.i{stroke:#9198a1}.o,.f0{fill:#ff8c42}.s0{stroke:#ff8c42}
.p{fill:#6e7681}.h{stroke:#9198a1}
.s1{stroke:#58a6ff}.f1{fill:#58a6ff}.s2{stroke:#56d364}.f2{fill:#56d364}.s3{stroke:#bc8cff}
.f3{fill:#bc8cff}.s4{stroke:#d4a72c}.f4{fill:#d4a72c}.s5{stroke:#39c5cf}.f5{fill:#39c5cf}
.s6{stroke:#ff80c8}.f6{fill:#ff80c8}.s7{stroke:#9198a1}.f7{fill:#9198a1}
.s8{stroke:#ff8c42}.f8{fill:#ff8c42}}
"""
# By the number of a colour: 0 is ours, 8 other runs of ours, what is between the others'.
DASHES = ("", "", "7 3", "2 3", "9 3 2 3", "12 4", "4 4", "1 4", "5 3")
OURS_TOO, OTHERS = 8, 7


# --- numbers --------------------------------------------------------------------------------------


def number(value):
    """Three digits that matter, thousands set apart: 14 500, 2.35, 0.087."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 99.95:
        return f"{value:,.0f}".replace(",", " ")
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def nice_step(span, most):
    """1, 2 or 5 times a power of ten, so that at most so many fit."""
    raw = span / most
    power = 10 ** math.floor(math.log10(raw))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= raw * 0.999)


def round_down(value):
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    return max(power * m for m in (1, 2, 5) if power * m <= value * 1.000001)


def round_up(value):
    low = round_down(value)
    return low if low >= value * 0.999999 else round_down(low * 2.5)


class LogScale:
    def __init__(self, low, high, start, end):
        self.low, self.high = round_down(low), round_up(high)
        if self.high < self.low * 1.5:
            self.high = round_up(self.low * 1.5)
        self.start, self.end = start, end

    def __call__(self, value):
        value = min(max(value, self.low), self.high)
        part = math.log10(value / self.low) / math.log10(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        """Powers of ten, and 2 and 5 times them if that is not too many."""
        factors = (1, 2, 5) if self.high / self.low < 300 else (1,)
        first = math.floor(math.log10(self.low) + 1e-9)
        every = [10.0 ** (first + n) * m for n in range(16) for m in factors]
        return [t for t in every if self.low * 0.999 <= t <= self.high * 1.001]


class LinearScale:
    def __init__(self, high, start, end, most=6):
        high = high or 1
        self.step = nice_step(high, most)
        self.high = self.step * math.ceil(high / self.step - 1e-9)
        self.start, self.end = start, end

    def __call__(self, value):
        return self.start + value / self.high * (self.end - self.start)

    def ticks(self):
        return [self.step * n for n in range(round(self.high / self.step) + 1)]


# --- the frame of each ----------------------------------------------------------------------------


def at(value):
    """A coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def text(x, y, words, classes=""):
    kind = f' class="{classes}"' if classes else ""
    return f'<text x="{at(x)}" y="{at(y)}"{kind}>{escape(str(words))}</text>'


def line(x1, y1, x2, y2, classes):
    return f'<path d="M{at(x1)} {at(y1)}L{at(x2)} {at(y2)}" class="{classes}"/>'


def document(height, title, subtitle, description, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{at(height)}" '
            f'viewBox="0 0 {WIDTH} {at(height)}" role="img" aria-labelledby="t d">\n'
            f'<title id="t">{escape(title)}</title>\n<desc id="d">{escape(description)}</desc>\n'
            f"<style>{STYLE}</style>\n"
            f'<rect width="{WIDTH}" height="{at(height)}" class="b"/>\n'
            + text(16, 26, title, "t") + "\n" + text(16, 45, subtitle, "m") + "\n"
            + "\n".join(parts) + "\n</svg>\n")


def x_axis(scale, top, bottom, form=number):
    parts = []
    for tick in scale.ticks():
        x = scale(tick)
        parts.append(line(x, top, x, bottom, "g"))
        parts.append(text(x, bottom + 17, form(tick), "m c"))
    return parts


def y_axis(scale, left, right, form=number):
    parts = []
    for tick in scale.ticks():
        y = scale(tick)
        parts.append(line(left, y, right, y, "g"))
        parts.append(text(left - 8, y + 4, form(tick), "m e"))
    return parts


def left_margin(names):
    return min(260, 28 + max(len(name) for name in names) * LETTER)


# --- the plots ------------------------------------------------------------------------------------


def bars(title, unit, rows, better):
    """rows: (name, kind, low, middle, high); kind: "ours", "peer" or "ceiling". Lying bars with
    whiskers from the least to the most."""
    row_height, top = 30, 60
    left, bottom = left_margin([row[0] for row in rows]), top + row_height * len(rows)
    most = max(row[4] for row in rows)
    longest = max(len(number(row[3])) for row in rows)
    scale = LinearScale(most, left, WIDTH - 30 - longest * LETTER - 8)
    parts = x_axis(scale, top, bottom)
    for place, (name, kind, low, middle, high) in enumerate(rows):
        y = top + place * row_height
        look = {"ours": "o", "peer": "p", "ceiling": "h"}[kind]
        parts.append(text(left - 10, y + 19, name, "e"))
        parts.append(f'<rect x="{at(left)}" y="{at(y + 6)}" width="{at(scale(middle) - left)}" '
                     f'height="18" class="{look}"/>')
        if high > low:
            x1, x2, mid = scale(low), scale(high), y + 15
            parts.append(f'<path d="M{at(x1)} {at(mid)}H{at(x2)}M{at(x1)} {at(mid - 4)}v8'
                         f'M{at(x2)} {at(mid - 4)}v8" class="k"/>')
        parts.append(text(scale(max(high, middle)) + 7, y + 19, number(middle)))
    words = "; ".join(f"{name}: {number(middle)} ({number(low)} to {number(high)})"
                      for name, _, low, middle, high in rows)
    return document(bottom + 30, title, f"{unit}, {better}; median, whiskers: least and most",
                    f"{unit}. {words}.", parts)


def dots(title, unit, rows):
    """rows: (name, ours, {"p50": …, "p99": …, "max": …}) on a logarithmic axis."""
    row_height, top = 30, 76
    left, bottom = left_margin([row[0] for row in rows]), top + row_height * len(rows)
    values = [v for row in rows for v in row[2].values() if v > 0]
    scale = LogScale(min(values), max(values), left, WIDTH - 40)
    parts = [*dot_key(left), *x_axis(scale, top, bottom)]
    for place, (name, ours, figures) in enumerate(rows):
        y, look = top + place * row_height + 15, "f0" if ours else "f7"
        spots = [scale(v) for v in figures.values() if v > 0]
        parts.append(text(left - 10, y + 4, name, "e"))
        parts.append(line(min(spots), y, max(spots), y, f"l s{0 if ours else 7}"))
        parts += [shape(what, scale(v), y, look) for what, v in figures.items() if v > 0]
    words = "; ".join(name + ": " + ", ".join(f"{k} {number(v)}" for k, v in figures.items())
                      for name, _, figures in rows)
    return document(bottom + 30, title, f"{unit}, logarithmic; less is better",
                    f"{unit}. {words}.", parts)


def shape(what, x, y, look):
    if what == "p50":
        return f'<circle cx="{at(x)}" cy="{at(y)}" r="6" class="{look}"/>'
    if what == "p99":
        return f'<path d="M{at(x)} {at(y - 7)}l7 7l-7 7l-7-7z" class="{look}"/>'
    return f'<path d="M{at(x - 1.5)} {at(y - 8)}h3v16h-3z" class="{look}"/>'


def dot_key(left):
    parts = []
    for place, (what, words) in enumerate((("p50", "median"), ("p99", "99 of 100"),
                                           ("max", "the slowest"))):
        x = left + place * 110
        parts += [shape(what, x + 8, 62, "f7"), text(x + 20, 66, words, "m")]
    return parts


def cdf(title, unit, rows):
    """rows: (name, colour number, [values in order], part that arrived at all). A curve ends where
    nothing more arrived."""
    legend = max(len(legend_words(row)) for row in rows) * LETTER + 46
    left, right, top, bottom = 56, WIDTH - min(330, legend) - 16, 66, 330
    values = [v for row in rows for v in row[2] if v > 0]
    x = LogScale(max(min(values), 1e-3), max(values), left, right)
    y = LinearScale(100, bottom, top, 5)
    parts = [*x_axis(x, top, bottom), *y_axis(y, left, right, lambda v: f"{v:.0f} %"),
             text((left + right) / 2, bottom + 36, unit + ", logarithmic", "m c")]
    for name, colour, points, part in sorted(rows, key=lambda row: row[1] == 0):
        dash = DASHES[colour]
        spots = thinned([(x(value), y(100 * part * (place + 1) / len(points)))
                         for place, value in enumerate(points)])
        path = "L".join(f"{at(a)} {at(b)}" for a, b in spots)
        parts.append(f'<path d="M{path}" class="l s{colour}"'
                     + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")
        if part < 0.9995:
            parts.append(f'<circle cx="{at(spots[-1][0])}" cy="{at(spots[-1][1])}" r="4" '
                         f'class="f{colour}"/>')
    for place, row in enumerate(rows):
        parts += legend_line(right + 22, top + 10 + place * 22, row[1], legend_words(row))
    words = "; ".join(f"{name}: half within {number(points[len(points) // 2])}, slowest "
                      f"{number(points[-1])}, {100 * part:.1f} % arrived"
                      for name, _, points, part in rows)
    return document(bottom + 48, title, "files stored within that time, of all that were dropped",
                    f"{unit}. {words}.", parts)


def thinned(spots):
    """Without those that nobody could tell from the one before; the last one stays."""
    kept = spots[:1]
    for spot in spots[1:-1]:
        if abs(spot[0] - kept[-1][0]) >= 2 or abs(spot[1] - kept[-1][1]) >= 2:
            kept.append(spot)
    return kept + spots[-1:]


def legend_words(row):
    name, part = row[0], row[3]
    return name if part >= 0.9995 else f"{name} ({100 * (1 - part):.1f} % never)"


def legend_line(x, y, colour, words):
    dash = DASHES[colour]
    return [f'<path d="M{at(x)} {at(y)}h24" class="l s{colour}"'
            + (f' stroke-dasharray="{dash}"' if dash else "") + "/>", text(x + 32, y + 4, words)]


def lines(title, x_unit, unit, rows, ideal):
    """rows: (name, colour number, [(x, low, middle, high)]); both axes logarithmic. ideal: (first
    x, first y, slope, words) of a straight line to compare with."""
    legend = max([len(row[0]) for row in rows] + [len(ideal[3]) if ideal else 0]) * LETTER + 46
    left, right, top, bottom = 72, WIDTH - min(330, legend) - 16, 66, 330
    points = [point for row in rows for point in row[2]]
    x = LogScale(min(p[0] for p in points), max(p[0] for p in points), left, right)
    y = LogScale(min(p[1] for p in points if p[1] > 0), max(p[3] for p in points), bottom, top)
    parts = [*x_axis(x, top, bottom), *y_axis(y, left, right),
             text((left + right) / 2, bottom + 36, x_unit + ", logarithmic", "m c")]
    if ideal:
        parts.append(ideal_line(x, y, ideal, points))
        parts += [f'<path d="M{at(right + 22)} {at(top + 10 + len(rows) * 22)}h24" class="i"/>',
                  text(right + 54, top + 14 + len(rows) * 22, ideal[3], "m")]
    for name, colour, spots in sorted(rows, key=lambda row: row[1] == 0):
        path = "L".join(f"{at(x(p[0]))} {at(y(p[2]))}" for p in spots)
        parts.append(f'<path d="M{path}" class="l s{colour}"/>')
        for p in spots:
            spot = x(p[0])
            parts.append(f'<circle cx="{at(spot)}" cy="{at(y(p[2]))}" r="4" class="f{colour}"/>')
            if p[3] > p[1] > 0:
                parts.append(line(spot, y(p[1]), spot, y(p[3]), f"l s{colour}"))
    for place, row in enumerate(rows):
        parts += legend_line(right + 22, top + 10 + place * 22, row[1], row[0])
    words = "; ".join(name + ": " + ", ".join(f"{number(p[0])}: {number(p[2])}" for p in spots)
                      for name, _, spots in rows)
    return document(bottom + 48, title, f"{unit}, logarithmic; less is better",
                    f"{unit} by {x_unit}. {words}.", parts)


def ideal_line(x, y, ideal, points):
    """From the first point as far as the axes go."""
    first_x, first_y, slope, _ = ideal
    last_x = max(p[0] for p in points)
    last_y = first_y * (last_x / first_x) ** slope
    if last_y > y.high:
        last_x, last_y = first_x * (y.high / first_y) ** (1 / slope), y.high
    return line(x(first_x), y(first_y), x(last_x), y(last_y), "i")
