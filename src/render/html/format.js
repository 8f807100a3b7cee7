// Numbers as people read them: three significant digits and a unit, as in the other formats of the report.

const STEPS = {
  ns: [[1, "ns"], [1e3, "µs"], [1e6, "ms"], [1e9, "s"], [60e9, "min"], [3600e9, "h"]],
  bytes: [[1, "B"], [2 ** 10, "KiB"], [2 ** 20, "MiB"], [2 ** 30, "GiB"], [2 ** 40, "TiB"]],
  count: [[1, ""]],
  percent: [[1, "%"]],
  per_second: [[1, "/s"]],
};

/** The step that writes a value with at most three digits before the point, where there is one. */
function step(unit, value) {
  const steps = STEPS[unit] ?? STEPS.count;
  const limit = (divisor) => (divisor === 60e9 ? 120 : unit === "bytes" ? 1023.5 : 999.5);
  return steps.find(([divisor]) => Math.abs(value) / divisor < limit(divisor)) ?? steps.at(-1);
}

function decimals(value) {
  const size = Math.abs(value);
  return size >= 99.95 || size === 0 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3;
}

function grouped(number) {
  const [whole, fraction] = number.split(".");
  const separated = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? separated : `${separated}.${fraction}`;
}

/** A value with its unit; `-` for what is not known. */
export function format(unit, value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "-";
  const [divisor, suffix] = step(unit, value);
  if (unit === "percent") {
    const text = value > 0 && value < 0.05 ? "<0.1" : value.toFixed(1);
    return `${grouped(text)}%`;
  }
  const scaled = value / divisor;
  const exact = divisor === 1 && Number.isInteger(value);
  const digits = exact ? 0 : decimals(scaled);
  const number = value > 0 && scaled < 0.0005 ? "<0.001" : grouped(scaled.toFixed(digits));
  return suffix === "/s" ? `${number}/s` : suffix === "" ? number : `${number} ${suffix}`;
}

/** An amount a second. */
export function rate(unit, value) {
  return unit === "count" ? format("per_second", value) : `${format(unit, value)}/s`;
}
