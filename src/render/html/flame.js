// A flame graph, its roots at the top: frames are as wide as their time in the selection. It zooms, is searched, and follows the arrow keys.

import { element } from "./dom.js";
import { format } from "./format.js";
import { total } from "./sums.js";

/** Frames narrower than this part of the picture are not drawn. */
const NARROWEST = 1 / 1200;
/** Colours of frames that belong to files. */
const COLOURS = 6;
/** Height of a frame in pixels. */
const FRAME = 18;

export function makeFlame({ name, title, empty, functions, callers, names, own }) {
  const parents = callers.map((before, at) => (before === 0 ? -1 : at - before));
  const children = callers.map(() => []);
  const roots = [];
  parents.forEach((parent, at) => (parent === -1 ? roots : children[parent]).push(at));
  let weights = [];
  let zoomed = -1;
  let focused = -1;
  let wanted = "";

  const text = (at) => functions[names[at]][0];
  const file = (at) => functions[names[at]][1];
  const status = element("span", { class: "status", "aria-live": "polite" });
  const search = element("input", {
    type: "search",
    placeholder: "Search functions",
    "aria-label": `Search ${title}`,
    oninput: draw,
    onkeydown: (event) => {
      if (event.key !== "Escape") return;
      search.value = "";
      draw();
      event.stopPropagation();
    },
  });
  const reset = element("button", { type: "button", onclick: () => zoom(-1) }, "Whole graph");
  const frames = element("div", { class: "frames", role: "tree", "aria-label": `${title} by call`, onkeydown: key });
  const root = element(
    "section",
    { class: "flame", "data-name": name },
    element("div", { class: "bar" }, element("h3", {}, `${title}: flame graph`), search, reset, status),
    element("div", { class: "scroll" }, frames),
  );

  function zoom(at) {
    [zoomed, focused] = [at, at];
    draw();
    frames.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
  }

  function colour(at) {
    if (parents[at] === -1) return "process";
    const of = file(at);
    if (of.startsWith("[kernel") || of.endsWith(".ko")) return "kernel";
    let hash = 7;
    for (const letter of of) hash = (hash * 31 + letter.codePointAt(0)) % 65521;
    return `file-${hash % COLOURS}`;
  }

  function draw() {
    wanted = search.value.trim().toLowerCase();
    const base = zoomed === -1 ? null : zoomed;
    const all = roots.reduce((sum, at) => sum + weights[at], 0);
    const span = base === null ? all : weights[base];
    const drawn = [];
    let deepest = 0;
    let matched = 0;
    const place = (at, left, depth, inMatch) => {
      const width = weights[at] / span;
      const matches = wanted !== "" && text(at).toLowerCase().includes(wanted);
      if (matches && !inMatch) matched += weights[at];
      if (width >= NARROWEST) {
        deepest = Math.max(deepest, depth);
        drawn.push(frame(at, left, width, depth, matches, all));
      }
      let next = left;
      for (const child of sorted(children[at])) {
        if (weights[child] > 0) place(child, next, depth + 1, inMatch || matches);
        next += weights[child] / span;
      }
    };
    const above = [];
    for (let at = base === null ? -1 : parents[base]; at !== -1; at = parents[at]) above.unshift(at);
    if (span > 0) {
      above.forEach((at, depth) => drawn.push(frame(at, 0, 1, depth, false, all)));
      let left = 0;
      for (const at of base === null ? sorted(roots) : [base]) {
        if (weights[at] > 0) place(at, left, above.length, false);
        left += weights[at] / span;
      }
    }
    frames.replaceChildren(...drawn);
    frames.style.setProperty("height", `${(deepest + 1) * FRAME}px`);
    const first = drawn.find((one) => Number(one.dataset.call) === focused) ?? drawn[0];
    first?.setAttribute("tabindex", "0");
    reset.disabled = zoomed === -1;
    if (all === 0) status.textContent = own.length === 0 ? empty : "nothing in the selection";
    else if (wanted !== "") status.textContent = `${format("percent", (100 * matched) / Math.max(span, 1))} matches`;
    else status.textContent = `${format("ns", span)} in all`;
  }

  function frame(at, left, width, depth, matches, all) {
    const value = `${format("ns", weights[at])}, ${format("percent", (100 * weights[at]) / all)}`;
    const where = file(at) === "" ? "" : ` in ${file(at)}`;
    return element(
      "div",
      {
        class: `frame ${matches ? "match" : colour(at)}`,
        role: "treeitem",
        "aria-level": String(depth + 1),
        tabindex: "-1",
        "data-call": String(at),
        title: `${text(at)}${where}: ${value}`,
        "aria-label": `${text(at)}: ${value}`,
        style: { left: `${left * 100}%`, width: `${width * 100}%`, top: `${depth * FRAME}px` },
        onclick: () => zoom(at),
      },
      width > 0.008 ? text(at) : "",
    );
  }

  const sorted = (calls) => [...calls].sort((a, b) => weights[b] - weights[a]);

  function key(event) {
    const at = Number(event.target.dataset.call);
    if (Number.isNaN(at)) return;
    const siblings = sorted(parents[at] === -1 ? roots : children[parents[at]]);
    const beside = (step) => siblings[siblings.indexOf(at) + step];
    const go = {
      ArrowUp: () => focus(parents[at]),
      ArrowDown: () => focus(sorted(children[at])[0]),
      ArrowLeft: () => focus(beside(-1)),
      ArrowRight: () => focus(beside(1)),
      Enter: () => zoom(at),
      Escape: () => zoom(-1),
    }[event.key];
    if (go === undefined) return;
    event.preventDefault();
    go();
  }

  function focus(at) {
    const next = at === undefined ? null : frames.querySelector(`[data-call="${at}"]`);
    if (next === null) return;
    frames.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    focused = at;
    next.focus();
  }

  /** The weights of the calls in a selection; each has those that it made. */
  function update(selection) {
    weights = own.map((values) => total(values, selection));
    for (let at = weights.length - 1; at >= 0; at--) {
      if (parents[at] !== -1) weights[parents[at]] += weights[at];
    }
    if (zoomed !== -1 && weights[zoomed] === 0) zoomed = -1;
    draw();
  }

  /** What each function weighs by itself and with what it called; the outermost frame is the process. */
  function functionRows(selection) {
    const rows = new Map();
    const row = (at) => {
      if (!rows.has(names[at])) rows.set(names[at], { function: text(at), file: file(at), self: 0, total: 0 });
      return rows.get(names[at]);
    };
    const open = new Set();
    const visit = (at) => {
      const isFunction = parents[at] !== -1;
      const outermost = isFunction && !open.has(names[at]);
      if (outermost) {
        open.add(names[at]);
        row(at).total += weights[at];
      }
      if (isFunction) row(at).self += total(own[at], selection);
      children[at].forEach((child) => weights[child] > 0 && visit(child));
      if (outermost) open.delete(names[at]);
    };
    roots.forEach((at) => weights[at] > 0 && visit(at));
    return { rows: [...rows.values()], all: roots.reduce((sum, at) => sum + weights[at], 0) };
  }

  return { root, update, functionRows };
}
