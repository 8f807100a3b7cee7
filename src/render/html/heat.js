// A heat map: which values occurred when. Rows are ranges of values on a logarithmic scale, columns are intervals.

import { element, shape } from "./dom.js";
import { format } from "./format.js";

/** Rows that a map may have. */
const ROWS = 36;

/** The row of a value when each power of two has so many parts, all parts within it equally wide. */
function row(value, parts) {
  if (value < 1) return -1;
  const power = Math.floor(Math.log2(value));
  return power * parts + Math.floor((value / 2 ** power - 1) * parts);
}

/** The least value of a row. */
function least(at, parts) {
  if (at < 0) return 0;
  const power = Math.floor(at / parts);
  return 2 ** power * (1 + (at % parts) / parts);
}

export function makeHeat(bounds) {
  const picture = element("div", { class: "heat" });

  function update({ name, unit, buckets, counts }, { from, to }) {
    const filled = counts.map((own) => [...own].filter(([interval]) => interval >= from && interval < to));
    const used = buckets.filter((_, at) => filled[at].length > 0);
    if (used.length === 0) {
      picture.replaceChildren(element("p", { class: "note" }, "nothing in the selection"));
      return;
    }
    const [low, high] = [used[0][0], Math.max(...used.map(([, hi]) => hi)) - 1];
    const parts = [16, 8, 4, 2, 1].find((p) => row(high, p) - row(low, p) < ROWS) ?? 1;
    const [first, last] = [row(low, parts), row(high, parts)];
    const cells = new Map();
    filled.forEach((own, at) => {
      const of = row(buckets[at][0], parts);
      for (const [interval, count] of own) {
        const key = `${of}:${interval}`;
        cells.set(key, (cells.get(key) ?? 0) + count);
      }
    });
    const most = Math.max(...cells.values());
    const rows = last - first + 1;
    const time = (interval) => ((bounds[interval] - bounds[from]) / (bounds[to] - bounds[from])) * 1000;
    const drawing = shape("svg", { viewBox: `0 0 1000 ${rows}`, preserveAspectRatio: "none", role: "img" });
    drawing.setAttribute("aria-label", `${name} over time: values from ${format(unit, low)} to ${format(unit, high)}`);
    for (const [key, count] of cells) {
      const [of, interval] = key.split(":").map(Number);
      const heat = most > 1 ? Math.log(count) / Math.log(most) : 1;
      const what = `${format("count", count)} from ${format(unit, least(of, parts))} to ${format(unit, least(of + 1, parts))}`;
      const when = `at ${(bounds[interval] / 1e9).toFixed(2)} s`;
      const place = { x: time(interval), y: last - of, width: Math.max(time(interval + 1) - time(interval), 0.5), height: 1 };
      const cell = shape("rect", { class: "cell", "fill-opacity": (0.12 + 0.88 * heat).toFixed(3), ...place });
      cell.append(shape("title", {}, `${what}, ${when}`));
      drawing.append(cell);
    }
    const every = Math.max(1, Math.ceil(rows / 8));
    const marks = [];
    for (let at = first; at <= last; at += every) {
      const bottom = `${((at - first) / rows) * 100}%`;
      marks.push(element("span", { class: "mark", style: { bottom } }, format(unit, least(at, parts))));
    }
    const when = (interval) => `${(bounds[interval] / 1e9).toFixed(1)} s`;
    picture.replaceChildren(
      element("div", { class: "marks", "aria-hidden": "true" }, ...marks),
      element("div", { class: "map" }, drawing, element("div", { class: "ends" }, element("span", {}, when(from)), element("span", {}, when(to)))),
      element("p", { class: "note" }, `The darker a cell, the more values (logarithmic); the fullest has ${format("count", most)}.`),
    );
  }

  return { root: picture, update };
}
