// A table that sorts by its headings and is searched as one types.

import { element } from "./dom.js";

/** Rows shown before one asks for more. */
const SHOWN = 15;

/**
 * Makes a table. Columns have `title`, `help` and `numeric`; `update` takes rows of cells `{ text, value }` and the row of what is left out.
 */
export function makeTable({ name, title, note, columns, sortBy = null }) {
  let rows = [];
  let rest = null;
  let everything = false;
  let sort = sortBy;
  const status = element("span", { class: "status", "aria-live": "polite" });
  const search = element("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": `Search ${title}`,
    oninput: draw,
    onkeydown: (event) => {
      if (event.key !== "Escape") return;
      search.value = "";
      draw();
      event.stopPropagation();
    },
  });
  const headings = columns.map((column, at) => {
    const button = element("button", { type: "button", title: column.help || null, onclick: () => order(at) }, column.title);
    return element("th", { scope: "col", class: column.numeric ? "number" : null }, button);
  });
  const body = element("tbody");
  const foot = element("tfoot");
  const more = element("button", {
    type: "button",
    class: "more",
    onclick: () => {
      everything = !everything;
      draw();
    },
  });
  const grid = element("table", {}, element("thead", {}, element("tr", {}, ...headings)), body, foot);
  const root = element(
    "section",
    { class: "table", "data-name": name },
    element("div", { class: "bar" }, title ? element("h3", {}, title) : null, search, status),
    note ? element("p", { class: "note" }, note) : null,
    element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title || name }, grid),
    more,
  );

  function order(at) {
    const first = columns[at].numeric ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    sort = { at, direction: sort?.at === at && sort.direction === first ? other : first };
    draw();
  }

  function compare(a, b) {
    const [one, two] = [a[sort.at].value, b[sort.at].value];
    const nothing = (value) => value === null || value === undefined || Number.isNaN(value);
    // What is not known comes last in either direction.
    if (nothing(one) || nothing(two)) return nothing(one) - nothing(two);
    const order = typeof one === "number" && typeof two === "number" ? one - two : String(one).localeCompare(String(two));
    return sort.direction === "ascending" ? order : -order;
  }

  function line(cells) {
    return element(
      "tr",
      {},
      ...cells.map((cell, at) => {
        const attributes = { class: columns[at].numeric ? (cell.isZero ? "number zero" : "number") : null };
        const name = at === 0 ? element("th", { scope: "row", ...attributes }) : element("td", attributes);
        name.append(cell.node ?? cell.text);
        return name;
      }),
    );
  }

  function draw() {
    const wanted = search.value.trim().toLowerCase();
    const found = rows.filter((row) => wanted === "" || row.some((cell) => cell.text.toLowerCase().includes(wanted)));
    if (sort !== null) found.sort(compare);
    const shown = everything ? found : found.slice(0, SHOWN);
    body.replaceChildren(...shown.map(line));
    foot.replaceChildren(...(rest !== null && wanted === "" ? [line(rest)] : []));
    headings.forEach((heading, at) => {
      if (sort?.at === at) heading.setAttribute("aria-sort", sort.direction);
      else heading.removeAttribute("aria-sort");
    });
    status.textContent = wanted === "" ? (found.length === 0 ? "nothing here" : "") : `${found.length} of ${rows.length} rows`;
    more.hidden = found.length <= SHOWN;
    more.textContent = everything ? `Show ${SHOWN} rows` : `Show all ${found.length} rows`;
  }

  return {
    root,
    update(newRows, newRest = null) {
      [rows, rest] = [newRows, newRest];
      draw();
    },
  };
}
