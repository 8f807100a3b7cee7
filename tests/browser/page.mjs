// Drives pages in Chromium: node page.mjs PLAYWRIGHT CHROMIUM CASES.json
//
// CASES.json names the pages and what they have to show. Prints one line for each check, and exits with 1 if one fails, with 2 if
// the browser can't be started.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [playwright, executablePath, casesFile] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(casesFile, "utf8"));
const { chromium } = await import(pathToFileURL(join(playwright, "index.mjs")));

const args = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"];
let browser;
try {
  browser = await chromium.launch({ executablePath, args, timeout: 60_000 });
} catch (error) {
  console.log(`can't start: ${String(error.message).split("\n")[0]}`);
  process.exit(2);
}

let failed = 0;
function check(what, holds, detail = "") {
  if (!holds) failed += 1;
  console.log(`${holds ? "ok" : "FAILED"}: ${what}${holds ? "" : `: ${detail}`}`);
}

/** A page that tells what went wrong in it and what it asked for. */
async function open(file, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const troubles = [];
  const requests = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && troubles.push(message.text()));
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("dialog", (dialog) => troubles.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(pathToFileURL(file).href);
  await page.waitForSelector("main section, main p");
  return { page, troubles, requests, close: () => context.close() };
}

const texts = (page, selector) => page.locator(selector).allInnerTexts();
const rowsOf = (page, table) => page.locator(`section[data-name="${table}"] tbody tr`);

/** The cells of a table's rows by their first. */
async function cells(page, table) {
  return page.locator(`section[data-name="${table}"]`).evaluate((section) =>
    Object.fromEntries([...section.querySelectorAll("tbody tr")].map((row) => [row.cells[0].textContent, [...row.cells].map((cell) => cell.textContent)])),
  );
}

/** Contrasts below what WCAG asks of text (level AA), of every element that has text of its own. */
function lowContrasts(page) {
  return page.evaluate(() => {
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const channel = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const background = (element) => {
      for (let at = element; at !== null; at = at.parentElement) {
        const colour = numbers(getComputedStyle(at).backgroundColor);
        if (colour.length === 3 || colour[3] === 1) return colour;
      }
      return [255, 255, 255];
    };
    const low = new Set();
    for (const element of document.querySelectorAll("body *")) {
      const own = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== "");
      if (!own || element.closest("svg, script") !== null || element.getClientRects().length === 0) continue;
      const pair = [luminance(numbers(getComputedStyle(element).color)), luminance(background(element))].sort((a, b) => b - a);
      const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
      if (contrast < 4.5) low.add(`${element.tagName}.${element.className} ${contrast.toFixed(2)}`);
    }
    return [...low];
  });
}

/** Text and frames beyond the page's right edge, which a reader would have to scroll the whole page to see. */
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

async function hostile({ file, name, shown }) {
  const { page, troubles, requests, close } = await open(file);
  check("hostile names stay text", (await texts(page, "th[scope=row]")).some((text) => text === shown), JSON.stringify(await texts(page, "th[scope=row]")));
  const elements = await page.evaluate(() => [document.querySelectorAll("script").length, document.querySelectorAll("main img, main iframe, main a, main script").length]);
  check("hostile names make no element", elements[0] === 2 && elements[1] === 0, String(elements));
  check(`nothing of '${name}' runs`, troubles.length === 0, troubles.join("; "));
  check("a hostile page asks for nothing", requests.every((url) => url.startsWith("file:")) && requests.length === 1, requests.join(" "));
  await close();
}

/** A page of a recording with a trigger opens at it and marks it in every lane. */
async function fired({ file, shown }) {
  const { page, troubles, close } = await open(file);
  const said = (await texts(page, ".sticky .status"))[0];
  const [from, to] = [...said.matchAll(/([\d.]+) s/g)].map((match) => Number(match[1]));
  check("a page opens at its trigger", from <= 0.6 && to >= 0.6 && !said.includes("whole"), said);
  const [lanes, marks] = [await page.locator(".plot.lane, .plot.strip").count(), await page.locator(".plot .trigger").count()];
  check("every lane marks the trigger", lanes > 1 && marks === lanes, `${marks} of ${lanes}`);
  const [lane, mark] = [await page.locator(".plot.lane").first().boundingBox(), await page.locator(".plot.lane .trigger").first().boundingBox()];
  check("the mark is at its time", mark.height > 20 && mark.x > lane.x && mark.x < lane.x + lane.width / 2, JSON.stringify([lane, mark]));
  check("what fired it stays text", (await texts(page, "p.note")).some((text) => text.startsWith("Trigger: block.device_time > 50ms fired") && text.includes(shown)));
  await page.getByRole("button", { name: "Whole window" }).click();
  check("the whole window is one click away", (await texts(page, ".sticky .status"))[0].includes("whole"));
  check("a page with a trigger has no error", troubles.length === 0, troubles.join("; "));
  await close();
}

async function selection({ file, selected, whole }) {
  const { page, troubles, requests, close } = await open(file);
  const timeline = page.locator(".timeline");
  const flame = page.locator("section.flame[data-name=cpu]");
  const weights = () => flame.locator(".frame").evaluateAll((frames) => frames.map((frame) => frame.title));
  const heat = () => page.locator(".heat svg").evaluate((svg) => svg.outerHTML);
  const before = { rows: await cells(page, "commands"), frames: await weights(), heat: await heat() };
  for (const [command, cpu] of Object.entries(whole)) {
    check(`the CPU time of ${command} in the window`, before.rows[command]?.[1] === cpu, `${before.rows[command]?.[1]} instead of ${cpu}`);
  }

  await timeline.focus();
  await page.keyboard.press("ArrowRight");
  const after = { rows: await cells(page, "commands"), frames: await weights(), heat: await heat() };
  for (const [command, cpu] of Object.entries(selected)) {
    check(`the CPU time of ${command} in the selection`, after.rows[command]?.[1] === cpu, `${after.rows[command]?.[1]} instead of ${cpu}`);
  }
  check("a selection changes the flame graph", JSON.stringify(after.frames) !== JSON.stringify(before.frames) && after.frames.length > 0);
  check("a selection changes the heat map", after.heat !== before.heat);
  check("the selection is said", (await texts(page, ".sticky .status"))[0].includes(" s to "));
  await page.keyboard.press("Escape");
  check("Escape selects the whole window", JSON.stringify(await cells(page, "commands")) === JSON.stringify(before.rows));

  const plot = page.locator(".plot.lane").first();
  await plot.scrollIntoViewIfNeeded();
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + 12, box.y + box.height / 2, { steps: 3 });
  await page.mouse.up();
  check("dragging selects like the arrow key", JSON.stringify(await cells(page, "commands")) === JSON.stringify(after.rows));
  await page.getByRole("button", { name: "Whole window" }).click();
  check("the button selects the whole window", JSON.stringify(await cells(page, "commands")) === JSON.stringify(before.rows));

  const functions = page.locator("section[data-name=cpu-functions]");
  const heading = functions.locator("th[scope=col] button").first();
  await heading.click();
  const ascending = await functions.locator("tbody th").allInnerTexts();
  check("a heading sorts", ascending.length > 1 && JSON.stringify(ascending) === JSON.stringify([...ascending].sort((a, b) => a.localeCompare(b))));
  await heading.press("Enter");
  const descending = await functions.locator("tbody th").allInnerTexts();
  check("a heading sorts the other way by keyboard", descending[0].localeCompare(ascending[0]) > 0);
  const wanted = descending[0];
  await functions.locator("input").fill(wanted);
  const found = await functions.locator("tbody th").allInnerTexts();
  check("a table is searched", found.length > 0 && found.every((text) => text.toLowerCase().includes(wanted.toLowerCase())));
  await functions.locator("input").press("Escape");
  check("Escape ends a search", (await functions.locator("tbody th").count()) > found.length || found.length >= descending.length);

  const frames = flame.locator(".frame");
  await flame.locator("input").fill("e");
  check("a flame graph is searched", (await flame.locator(".frame.match").count()) > 0 && (await flame.locator(".status").innerText()).includes("matches"));
  await flame.locator("input").press("Escape");
  const count = await frames.count();
  await frames.first().focus();
  await page.keyboard.press("ArrowDown");
  const focused = await page.evaluate(() => document.activeElement.getAttribute("aria-level"));
  check("arrow keys walk the flame graph", focused === "2", String(focused));
  await page.keyboard.press("Enter");
  const zoomed = await frames.count();
  check("Enter zooms", zoomed > 0 && (await flame.getByRole("button", { name: "Whole graph" }).isEnabled()));
  await page.keyboard.press("Escape");
  check("Escape ends the zoom", (await frames.count()) === count && (await flame.getByRole("button", { name: "Whole graph" }).isDisabled()));

  check("no error", troubles.length === 0, troubles.join("; "));
  check("no request leaves the page", requests.length === 1, requests.join(" "));
  await close();
}

async function looks(file) {
  for (const colorScheme of ["light", "dark"]) {
    for (const width of [1280, 400]) {
      const { page, close } = await open(file, { colorScheme, viewport: { width, height: 900 } });
      const low = await lowContrasts(page);
      check(`contrast in ${colorScheme}, ${width} wide`, low.length === 0, low.join("; "));
      const beyond = await overflow(page);
      check(`nothing beyond the edge in ${colorScheme}, ${width} wide`, beyond <= 0, `${beyond} pixels`);
      await close();
    }
  }
  const { page, close } = await open(file, { colorScheme: "light" });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.locator("#theme").click();
  check("the switch makes it dark", (await paper()) !== light);
  check("contrast after the switch", (await lowContrasts(page)).length === 0, (await lowContrasts(page)).join("; "));
  await page.emulateMedia({ media: "print" });
  const printed = await page.evaluate(() => [
    [...document.querySelectorAll("input, select, .more, #theme")].every((control) => control.getClientRects().length === 0),
    document.querySelectorAll("table thead button").length > 0 && [...document.querySelectorAll("table thead button")].every((button) => button.getClientRects().length > 0),
    getComputedStyle(document.body).backgroundColor,
  ]);
  check("print has no controls and keeps headings", printed[0] && printed[1], String(printed));
  check("print is on white", printed[2] === "rgb(255, 255, 255)", printed[2]);
  const pdf = await page.pdf({ format: "A4" });
  check("it prints", pdf.length > 10_000, String(pdf.length));
  await close();
}

async function view({ file, sections }) {
  const { page, troubles, close } = await open(file);
  check(`a page of a view has ${sections} tables and pictures`, (await page.locator("main section, main figure").count()) === sections, String(await page.locator("main section, main figure").count()));
  check("a page of a view has no error", troubles.length === 0, troubles.join("; "));
  check("a page of a view is legible", (await lowContrasts(page)).length === 0, (await lowContrasts(page)).join("; "));
  await close();
}

await hostile(cases.hostile);
await fired(cases.fired);
await selection(cases.selection);
await looks(cases.selection.file);
for (const one of cases.views) await view(one);
await browser.close();
process.exit(failed === 0 ? 0 : 1);
