// The page: its blocks in reading order, and everything that follows the selection of a span of time.

import { element } from "./dom.js";
import { makeFlame } from "./flame.js";
import { format } from "./format.js";
import { makeHeat } from "./heat.js";
import { merged, percentile, sparse, total } from "./sums.js";
import { makeTable } from "./table.js";
import { makeTimeline } from "./timeline.js";

const data = JSON.parse(document.getElementById("data").textContent);
const main = document.querySelector("main");

const PERCENTILES = [[0.5, "p50"], [0.9, "p90"], [0.99, "p99"], [0.999, "p99.9"]];
const number = (unit, value) => ({ text: format(unit, value), value, isZero: value === 0 });
const word = (text) => ({ text, value: text });

/** Figures of the rows of a table: sums, or quotients of sums, of the selected intervals. */
function figures(table, values, unit, selection, seconds) {
  const sums = values.map((own) => total(own, selection));
  return table.figures.map((figure) => {
    const own = figure.unit ?? unit;
    const sum = sums[figure.of];
    if (figure.by === null) return number(own, sum);
    const by = figure.by === "time" ? seconds * (own === "percent" ? 1e9 : 1) : sums[figure.by.value];
    return number(own, by > 0 ? (sum / by) * (own === "percent" ? 100 : 1) : null);
  });
}

function spanTable(table) {
  const everything = { from: 0, to: Infinity };
  const rows = table.rows.map((row) => ({ ...row, values: row.values.map(sparse) }));
  const rest = table.rest.map(sparse);
  // What never happened takes no column.
  const used = table.figures.map((figure) => [...rows.map((row) => row.values), rest].some((values) => values[figure.of] !== undefined && total(values[figure.of], everything) > 0));
  const keep = (cells) => cells.filter((_, at) => at < table.keys.length || used[at - table.keys.length]);
  const columns = [
    ...table.keys.map((key) => ({ title: key.title, help: "", numeric: key.numeric })),
    ...table.figures.map((figure) => ({ title: figure.title, help: figure.help, numeric: true })),
  ];
  const view = makeTable({
    name: table.name,
    title: table.title,
    note: table.note,
    columns: keep(columns),
    sortBy: table.name === "groups" ? null : { at: table.keys.length, direction: "descending" },
  });
  const keyCell = (key, at) => (table.keys[at].numeric ? { text: key, value: Number(key) } : word(key));
  const update = (selection, seconds) => {
    const happened = (row) => row.values.some((own) => total(own, selection) > 0);
    const line = (keys, values, unit) => keep([...keys, ...figures(table, values, unit, selection, seconds)]);
    const others = [word(`${format("count", table.omitted)} others`), ...table.keys.slice(1).map(() => word(""))];
    view.update(
      rows.filter(happened).map((row) => line(row.keys.map(keyCell), row.values, row.unit)),
      table.omitted > 0 && table.figures.every((figure) => figure.unit !== null) ? line(others, rest, null) : null,
    );
  };
  return { root: view.root, update };
}

function functionTable(flame, { name, title }) {
  const columns = [
    { title: "function", help: "", numeric: false },
    { title: "file", help: "Program, library or kernel module.", numeric: false },
    { title: "self", help: `${title} in the function itself.`, numeric: true },
    { title: "of all", help: `Share of the selection's ${title}, in the function itself.`, numeric: true },
    { title: "total", help: `${title} in the function and in what it called.`, numeric: true },
    { title: "of all", help: `Share of the selection's ${title}, in the function and in what it called.`, numeric: true },
  ];
  const view = makeTable({ name: `${name}-functions`, title: `${title}: functions`, columns, sortBy: { at: 2, direction: "descending" } });
  const update = (selection) => {
    const { rows, all } = flame.functionRows(selection);
    const share = (part) => number("percent", all > 0 ? (100 * part) / all : null);
    view.update(rows.map((row) => [word(row.function), word(row.file), number("ns", row.self), share(row.self), number("ns", row.total), share(row.total)]));
  };
  return { root: view.root, update };
}

function distributions(list, bounds) {
  const own = list.map((one) => ({ ...one, counts: one.counts.map(sparse) }));
  const heat = makeHeat(bounds);
  let chosen = own[0];
  let selection = { from: 0, to: bounds.length - 1 };
  const choice = element(
    "select",
    {
      "aria-label": "Metric of the heat map",
      onchange: () => choose(own[choice.selectedIndex]),
    },
    ...own.map((one) => element("option", {}, one.name)),
  );
  const help = element("p", { class: "note" });
  function choose(one) {
    chosen = one;
    choice.selectedIndex = own.indexOf(one);
    help.textContent = one.help;
    heat.update(one, selection);
  }
  const columns = [
    { title: "metric", help: "", numeric: false },
    { title: "count", help: "How many values.", numeric: true },
    ...PERCENTILES.map(([, title]) => ({ title, help: "", numeric: true })),
    { title: "max", help: "", numeric: true },
  ];
  const table = makeTable({ name: "distributions", title: "Distributions", columns });
  const map = element("section", { class: "table" }, element("div", { class: "bar" }, element("h3", {}, "Heat map"), choice), help, heat.root);
  const update = (next) => {
    selection = next;
    const rows = own.map((one) => [one, merged(one, selection)]).filter(([, sum]) => sum.inBuckets > 0);
    table.update(
      rows.map(([one, sum]) => {
        const button = element("button", { type: "button", class: "link", title: `Heat map of ${one.name}`, onclick: () => choose(one) }, one.name);
        return [
          { text: one.name, value: one.name, node: button },
          number("count", sum.inBuckets),
          ...PERCENTILES.map(([q]) => number(one.unit, percentile(sum, q))),
          number(one.unit, sum.max),
        ];
      }),
    );
    choose(chosen);
  };
  return { root: element("div", {}, table.root, map), update };
}

/** Columns of events that hold numbers. */
const NUMBERS = ["pid", "burst of"];

function events({ keys, rows, more }) {
  const columns = [
    { title: "end", help: "When it ended, in seconds since the start of the window.", numeric: true },
    { title: "took", help: "", numeric: true },
    ...keys.map((title) => ({
      title,
      help: title === "burst of" ? "Events of the same command and kind that follow each other within 100 ms and end in the same interval; the row is the slowest." : "",
      numeric: NUMBERS.includes(title),
    })),
  ];
  const note = more ? `Of the recording's ${rows.length} slowest bursts, at least the slowest of each interval, those that end in the selection.` : "";
  const view = makeTable({ name: "events", title: "Slowest events", note, columns, sortBy: { at: 1, direction: "descending" } });
  const cell = (text, at) => (NUMBERS.includes(keys[at]) ? { text, value: text === "" ? null : Number(text) } : word(text));
  const update = (_, __, [begin, end], everything) => {
    const inside = rows.filter(([at]) => everything || (at >= begin && at < end));
    view.update(inside.map(([at, took, cells]) => [{ text: `${(at / 1e9).toFixed(3)} s`, value: at }, number("ns", took), ...cells.map(cell)]));
  };
  return { root: view.root, update };
}

/** All that follows the selection. */
function overTime(page) {
  const says = element("span", { class: "status", "aria-live": "polite" });
  const clear = element("button", { type: "button", onclick: () => timeline.reset() }, "Whole window");
  const bar = element("div", { class: "bar sticky" }, element("strong", {}, "Selection:"), says, clear);
  const flames = page.flames.map((flame) => ({ about: flame, view: makeFlame({ ...flame, own: flame.own.map(sparse) }) }));
  const sections = [
    ...page.tables.filter((table) => table.name === "commands").map(spanTable),
    ...flames.flatMap(({ about, view }) => [view, functionTable(view, about)]),
    ...page.tables.filter((table) => table.name !== "commands" && table.rows.length > 0).map(spanTable),
    ...(page.distributions.length > 0 ? [distributions(page.distributions, page.bounds)] : []),
    events(page.events),
  ];
  const timeline = makeTimeline(
    {
      ...page,
      lanes: page.lanes.map((lane) => ({ ...lane, series: lane.series.map(([name, values]) => [name, sparse(values)]) })),
      strips: page.strips.map((strip) => ({ ...strip, parts: strip.parts.map(sparse) })),
    },
    (selection, everything) => {
      const [begin, end] = [page.bounds[selection.from], page.bounds[selection.to]];
      const [from, to] = [begin, end].map((at) => (at / 1e9).toFixed(2));
      says.textContent = everything
        ? `the whole window, ${format("ns", end - begin)}`
        : `${from} s to ${to} s, ${format("ns", end - begin)}`;
      clear.disabled = everything;
      sections.forEach((section) => section.update(selection, (end - begin) / 1e9, [begin, end], everything));
    },
  );
  const hint = "Drag across the timeline, or focus it and use the arrow keys: everything below follows. What is above covers the whole window.";
  const fired = page.trigger === null ? [] : [element("p", { class: "note" }, `Trigger: ${page.trigger.text}. The page opens at it.`)];
  const cuts = page.cuts.map((cut) => element("p", { class: "note" }, cut));
  const parts = [element("h2", {}, "Over time"), element("p", { class: "note" }, hint), ...fired, bar, timeline.root, ...sections.map((section) => section.root), ...cuts];
  timeline.start();
  return parts;
}

function staticTable({ name, title, columns, rows, omitted }) {
  const view = makeTable({ name, title, columns, note: omitted > 0 ? `${format("count", omitted)} more rows are left out; --top 0 shows all.` : "" });
  view.update(rows.map(([cells, values]) => cells.map((text, at) => ({ text, value: columns[at].numeric ? values[at] : text }))));
  return [view.root];
}

function staticFlame(flame) {
  const view = makeFlame({ ...flame, own: flame.own.map(sparse) });
  view.update({ from: 0, to: 1 });
  return [view.root];
}

const BLOCKS = {
  heading: ({ text }) => [element("h2", {}, text)],
  note: ({ text }) => [element("p", { class: "note" }, text)],
  warning: ({ text }) => [element("p", { class: "warning", role: "note" }, element("strong", {}, "Warning: "), text)],
  pairs: ({ pairs }) => [element("dl", {}, ...pairs.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]))],
  table: staticTable,
  picture: ({ title, source }) => [element("figure", {}, element("img", { src: source, alt: title }))],
  flame: staticFlame,
  over_time: ({ page }) => overTime(page),
};

function theme() {
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const current = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const label = () => (button.textContent = current() === "dark" ? "Light" : "Dark");
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = current() === "dark" ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
}

theme();
main.replaceChildren(...data.blocks.flatMap((block) => BLOCKS[block.kind](block)));
