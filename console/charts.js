// Charts over time, in the page's colours. Canvas tells a screen reader nothing: each has a sentence
// that sums it up and its figures as a table.
/* global uPlot: a plain script of index.html */
import { h, setText } from "/dom.js";
import { clock } from "/format.js";

const calm = matchMedia("(prefers-color-scheme: dark)");
const alive = new Set();

function redrawAll() {
    requestAnimationFrame(() => alive.forEach((chart) => chart.rebuild()));
}
calm.addEventListener("change", redrawAll);
document.addEventListener("themechange", redrawAll);

// A colour of the style sheet as the theme has it now.
function colour(element, name, alpha) {
    const probe = h("span", { class: `probe-${name}`, hidden: true });
    element.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    const parts = value.match(/[\d.]+/g);
    return alpha === undefined || !parts ? value : `rgba(${parts.slice(0, 3).join(",")},${alpha})`;
}

// Series stand on one another: each is drawn from zero up to its sum, the highest first.
function stacked(series) {
    const sums = [];
    series.forEach((values, i) => {
        sums.push(values.map((v, at) => (v ?? 0) + (i > 0 ? sums[i - 1][at] : 0)));
    });
    return sums;
}

// Values between two gaps, which no line reaches, are points.
function alone(u, at) {
    const values = u.data[at];
    return values.flatMap((v, i) => (v !== null && (values[i - 1] ?? null) === null &&
        (values[i + 1] ?? null) === null ? [i] : []));
}

export class Chart {
    // kind: bars (stacked) or lines; format: of a value; mark: { at, text }, a line to compare with.
    constructor({ id, title, kind, format, mark }) {
        Object.assign(this, { kind, format, mark });
        this.id = id;
        this.plot = null;
        this.data = null;
        this.place = h("div", { class: "plot", "aria-hidden": "true" });
        this.legend = h("ul", { class: "legend" });
        this.at = h("span", { class: "legend-at", "aria-hidden": "true" });
        this.summary = h("p", { class: "hint" });
        this.tablePlace = h("div", { class: "scroll", tabindex: "0", role: "region",
            "aria-label": `${title}, figures` });
        this.fold = h("details", { class: "figures", ontoggle: () => this.drawTable() },
            h("summary", {}, "Figures"), this.tablePlace);
        this.element = h("figure", { class: "card chart", "aria-labelledby": `${id}-title` },
            h("figcaption", {}, h("h2", { id: `${id}-title` }, title), this.at),
            this.legend, this.place, this.summary, this.fold);
        this.resize = new ResizeObserver(() => {
            if (this.plot && this.place.clientWidth > 0) {
                this.plot.setSize({ width: this.place.clientWidth, height: 190 });
            }
        });
        this.resize.observe(this.place);
        alive.add(this);
    }

    // times: in seconds; series: [{ name, colour (1 to 8), values }]; summary: a sentence.
    show({ times, step, series, summary }) {
        const same = this.data && this.data.series.map((s) => s.name).join() ===
            series.map((s) => s.name).join() && this.data.step === step;
        this.data = { times, step, series };
        setText(this.summary, summary);
        if (same && this.plot) {
            this.plot.setData([times, ...this.drawn()]);
            this.drawLegend(this.plot.cursor.idx);
        } else {
            this.rebuild();
        }
        this.drawTable();
    }

    // Values as uPlot gets them: the highest sum first.
    drawn() {
        const values = this.data.series.map((s) => s.values);
        return this.kind === "bars" ? stacked(values).reverse() : values;
    }

    rebuild() {
        this.plot?.destroy();
        this.plot = null;
        if (!this.data) {
            return;
        }
        const { times, step, series } = this.data;
        const bars = this.kind === "bars";
        const order = bars ? [...series].reverse() : series;
        const line = colour(this.element, "line");
        const muted = colour(this.element, "muted");
        const font = "11px system-ui, sans-serif";
        const axis = { stroke: muted, font, gap: 4, grid: { stroke: line, width: 1 }, ticks: { show: false } };
        this.plot = new uPlot({
            width: Math.max(200, this.place.clientWidth), height: 190,
            legend: { show: false },
            padding: [10, 8, 0, 0],
            cursor: { y: false, drag: { x: false, y: false }, points: { show: !bars, size: 7 } },
            scales: { x: { time: true, range: (_u, min, max) => [min - step / 2, max + step / 2] },
                y: { range: (_u, _min, max) => [0, this.top(max)] } },
            axes: [
                { ...axis, grid: { show: false }, space: 70, size: 26, values: (_u, at) => at.map(clock) },
                { ...axis, size: 62, space: 34, incrs: this.steps(),
                    values: (_u, at) => at.map((v) => this.format(v)) },
            ],
            series: [{}, ...order.map((s) => {
                const ink = colour(this.element, s.colour);
                return bars
                    ? { stroke: ink, fill: ink, width: 0, points: { show: false },
                        paths: uPlot.paths.bars({ size: [0.72, 40] }) }
                    : { stroke: ink, width: 2, spanGaps: false, points: { size: 4, width: 0, fill: ink, show: true, filter: alone },
                        fill: order.length === 1 ? colour(this.element, s.colour, 0.12) : undefined };
            })],
            hooks: {
                setCursor: [(u) => this.drawLegend(u.cursor.idx)],
                draw: [(u) => this.drawMark(u)],
            },
        }, [times, ...this.drawn()], this.place);
        this.drawLegend(null);
    }

    top(max) {
        const highest = Math.max(max ?? 0, 0);
        const marked = this.mark && highest > this.mark.at / 3 ? this.mark.at : 0;
        return Math.max(highest, marked, this.mark ? 1000 : 4) * 1.12;
    }

    // Steps between lines that are round for what is measured.
    steps() {
        if (this.mark) {
            const s = 1000;
            return [100, 200, 500, s, 2 * s, 5 * s, 10 * s, 15 * s, 30 * s, 60 * s, 120 * s, 300 * s, 600 * s,
                1800 * s, 3600 * s, 7200 * s, 4 * 3600 * s, 12 * 3600 * s, 86400 * s, 7 * 86400 * s];
        }
        return [1, 2, 5].flatMap((n) => Array.from({ length: 13 }, (_, e) => n * 10 ** e)).sort((a, b) => a - b);
    }

    drawMark(u) {
        if (!this.mark || u.scales.y.max < this.mark.at) {
            return;
        }
        const y = Math.round(u.valToPos(this.mark.at, "y", true));
        const c = u.ctx;
        c.save();
        c.strokeStyle = c.fillStyle = colour(this.element, "warn");
        c.lineWidth = devicePixelRatio;
        c.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
        c.beginPath();
        c.moveTo(u.bbox.left, y);
        c.lineTo(u.bbox.left + u.bbox.width, y);
        c.stroke();
        c.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
        c.textAlign = "left";
        c.fillText(this.mark.text, u.bbox.left + 4 * devicePixelRatio, y - 6 * devicePixelRatio);
        c.restore();
    }

    drawLegend(at) {
        const { times, series, step } = this.data;
        const on = at !== null && at !== undefined && at < times.length;
        setText(this.at, on ? `${clock(times[at])}–${clock(times[at] + step)} UTC` : "");
        if (this.legend.children.length !== series.length || this.legendNames !== series.map((s) => s.name).join()) {
            this.legendNames = series.map((s) => s.name).join();
            this.legend.replaceChildren(...series.map((s) => h("li", {},
                h("span", { class: `swatch swatch-${s.colour}` }), h("span", { class: "legend-name" }, s.name),
                h("span", { class: "num", "aria-hidden": "true" }))));
        }
        series.forEach((s, i) => {
            const v = on ? s.values[at] : null;
            setText(this.legend.children[i].lastChild, v === null || v === undefined ? "" : this.format(v));
        });
    }

    drawTable() {
        if (!this.fold.open || !this.data) {
            return;
        }
        const { times, series } = this.data;
        this.tablePlace.replaceChildren(h("table", {},
            h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From (UTC)"),
                ...series.map((s) => h("th", { scope: "col", class: "num" }, s.name)))),
            h("tbody", {}, ...times.map((t, at) => h("tr", {}, h("th", { scope: "row" }, clock(t)),
                ...series.map((s) => h("td", { class: "num" }, s.values[at] === null ? "–"
                    : this.format(s.values[at]))))))));
    }

    end() {
        this.resize.disconnect();
        this.plot?.destroy();
        alive.delete(this);
    }
}
