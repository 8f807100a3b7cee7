// The machine and its busiest threads over time, and the selection of a span of it by pointer or keyboard.

import { element, shape } from "./dom.js";
import { format, rate } from "./format.js";
import { total } from "./sums.js";

/** Units of a drawing across the whole window, and down a lane. */
const WIDE = 10000;
const HIGH = 100;

/** Intervals on each side of the trigger's own that are selected with it. */
const AROUND = 2;

export function makeTimeline({ bounds, trigger, lanes, strips, parts }, select) {
  const count = bounds.length - 1;
  const [begin, end] = [bounds[0], bounds[count]];
  const whole = { from: 0, to: count };
  const share = (time) => (end > begin ? (time - begin) / (end - begin) : 0);
  const x = (interval) => share(bounds[interval]) * WIDE;
  const seconds = (from, to) => (bounds[to] - bounds[from]) / 1e9;
  let selection = whole;
  let anchor = 0;
  const veils = [];
  const readers = [];

  /** The line where the trigger fired. */
  function fired() {
    if (trigger === null) return null;
    return element("div", { class: "trigger", title: trigger.text, style: { left: `${share(trigger.at) * 100}%` } });
  }

  function drawing(className, label) {
    const veil = element("div", { class: "selection", hidden: true });
    veils.push(veil);
    const picture = shape("svg", {
      viewBox: `0 0 ${WIDE} ${HIGH}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": label,
    });
    return { picture, plot: element("div", { class: `plot ${className}` }, picture, veil, fired()) };
  }

  function lane({ title, unit, per_second, factor, most, series }) {
    const write = per_second ? rate : format;
    const shown = (values, from, to) => (total(values, { from, to }) * factor) / Math.max(seconds(from, to), 1e-9);
    const lines = series.map(([, values]) => Array.from({ length: count }, (_, at) => shown(values, at, at + 1)));
    const highest = most ?? Math.max(...lines.flat(), Number.MIN_VALUE);
    const { picture, plot } = drawing("lane", title);
    lines.forEach((line, at) => {
      const y = (value) => HIGH - (Math.min(value / highest, 1) * HIGH);
      const steps = line.map((value, interval) => `${x(interval)},${y(value)} ${x(interval + 1)},${y(value)}`).join(" ");
      if (lines.length === 1) {
        picture.append(shape("polygon", { class: `area line-${at}`, points: `0,${HIGH} ${steps} ${WIDE},${HIGH}` }));
      }
      picture.append(shape("polyline", { class: `line line-${at}`, points: steps }));
    });
    const legend = series.map(([name], at) => {
      const value = element("b");
      readers.push(({ from, to }) => (value.textContent = write(unit, shown(series[at][1], from, to))));
      const swatch = element("span", { class: `swatch line-${at}`, "aria-hidden": "true" });
      return element("span", { class: "legend" }, swatch, series.length > 1 ? `${name} ` : "", value);
    });
    const scale = element("span", { class: "scale" }, `top of the lane: ${write(unit, highest)}`);
    const label = element("div", { class: "label" }, element("span", { class: "title" }, title), ...legend, scale);
    return element("div", { class: "row" }, label, plot);
  }

  function strip(thread) {
    const { picture, plot } = drawing("strip", `States of ${thread.name}`);
    for (let interval = 0; interval < count; interval++) {
      const values = thread.parts.map((part) => part.get(interval) ?? 0);
      const length = bounds[interval + 1] - bounds[interval];
      const all = Math.max(values.reduce((sum, value) => sum + value, 0), length);
      let top = HIGH;
      values.forEach((value, part) => {
        if (value === 0) return;
        const height = (value / all) * HIGH;
        top -= height;
        const place = { x: x(interval), width: x(interval + 1) - x(interval), y: top, height };
        picture.append(shape("rect", { class: `part-${part}`, ...place }, shape("title", {}, `${parts[part]}: ${format("ns", value)}`)));
      });
    }
    return element("div", { class: "row thin" }, element("div", { class: "label" }, thread.name), plot);
  }

  function axis() {
    const rough = (end - begin) / 1e9 / 10;
    const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-9)));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999) ?? power;
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const ticks = [];
    for (let at = Math.ceil(begin / 1e9 / step - 1e-9) * step; at <= end / 1e9 + 1e-9; at += step) {
      const left = `${share(at * 1e9) * 100}%`;
      ticks.push(element("span", { class: "tick", style: { left } }, at.toFixed(digits)));
    }
    if (trigger !== null) {
      const side = share(trigger.at) > 0.5 ? "before" : "after";
      ticks.push(element("span", { class: `fired ${side}`, style: { left: `${share(trigger.at) * 100}%` } }, "trigger"));
    }
    return element(
      "div",
      { class: "row thin axis" },
      element("div", { class: "label" }, "seconds since the start"),
      element("div", { class: "plot" }, ...ticks),
    );
  }

  function show(next) {
    const from = Math.min(Math.max(next.from, 0), count - 1);
    selection = { from, to: Math.min(Math.max(next.to, from + 1), count) };
    const everything = selection.from === 0 && selection.to === count;
    for (const veil of veils) {
      veil.hidden = everything;
      veil.style.setProperty("left", `${(x(selection.from) / WIDE) * 100}%`);
      veil.style.setProperty("width", `${((x(selection.to) - x(selection.from)) / WIDE) * 100}%`);
    }
    readers.forEach((read) => read(selection));
    select(selection, everything);
  }

  function interval(event) {
    const plot = root.querySelector(".plot").getBoundingClientRect();
    const time = begin + ((event.clientX - plot.left) / Math.max(plot.width, 1)) * (end - begin);
    const after = bounds.findIndex((bound) => bound > time);
    return Math.min(Math.max((after === -1 ? count + 1 : after) - 1, 0), count - 1);
  }

  const extend = (to) => show({ from: Math.min(anchor, to), to: Math.max(anchor, to) + 1 });

  function key(event) {
    const everything = selection.to - selection.from === count;
    const { from, to } = selection;
    const moves = {
      ArrowLeft: () => (everything ? show({ from: count - 1, to: count }) : event.shiftKey ? show({ from, to: Math.max(to - 1, from + 1) }) : from > 0 && show({ from: from - 1, to: to - 1 })),
      ArrowRight: () => (everything ? show({ from: 0, to: 1 }) : event.shiftKey ? show({ from, to: to + 1 }) : to < count && show({ from: from + 1, to: to + 1 })),
      Home: () => show({ from: 0, to: to - from }),
      End: () => show({ from: count - (to - from), to: count }),
      Escape: () => show(whole),
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    move();
  }

  const root = element(
    "div",
    {
      class: "timeline",
      tabindex: "0",
      role: "group",
      "aria-label": "Timeline. Arrow keys select and move a span, with Shift they change its length, Escape selects the whole window.",
      onkeydown: key,
      onpointerdown: (event) => {
        if (event.button !== 0 || event.target.closest(".plot") === null) return;
        root.setPointerCapture(event.pointerId);
        anchor = interval(event);
        extend(anchor);
      },
      onpointermove: (event) => root.hasPointerCapture(event.pointerId) && extend(interval(event)),
    },
    ...lanes.map(lane),
    axis(),
    strips.length > 0 ? element("div", { class: "row thin" }, element("div", { class: "label title" }, "Busiest threads"), key_of_parts()) : null,
    ...strips.map(strip),
  );

  function key_of_parts() {
    return element(
      "div",
      { class: "plot key" },
      ...parts.map((part, at) => element("span", { class: "legend" }, element("span", { class: `swatch part-${at}`, "aria-hidden": "true" }), part)),
    );
  }

  /** The whole window, or what is about the trigger. */
  function start() {
    if (trigger === null) return show(whole);
    const after = bounds.findIndex((bound) => bound > trigger.at);
    const own = (after === -1 ? count : after) - 1;
    show({ from: own - AROUND, to: own + AROUND + 1 });
  }

  return { root, reset: () => show(whole), start, words: ({ from, to }) => [bounds[from], bounds[to]] };
}
