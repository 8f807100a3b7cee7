// Sums of intervals: what every figure of a selection is made of.

/** Values by interval from the list of gaps and values that the page carries. */
export function sparse(flat) {
  const values = new Map();
  let interval = 0;
  for (let at = 0; at < flat.length; at += 2) {
    interval += flat[at];
    values.set(interval, flat[at + 1]);
  }
  return values;
}

/** The sum of the intervals of a selection. */
export function total(values, { from, to }) {
  let sum = 0;
  for (const [interval, value] of values) {
    if (interval >= from && interval < to) sum += value;
  }
  return sum;
}

/** Count, sum, extremes and buckets of a distribution in the selected intervals. */
export function merged(distribution, selection) {
  const buckets = [];
  let inBuckets = 0;
  distribution.counts.forEach((counts, at) => {
    const count = total(counts, selection);
    if (count > 0) buckets.push({ lo: distribution.buckets[at][0], hi: distribution.buckets[at][1], count });
    inBuckets += count;
  });
  let [count, sum, min, max] = [0, 0, Infinity, -Infinity];
  for (const totals of distribution.totals.slice(selection.from, selection.to)) {
    if (totals === null) continue;
    count += totals[0];
    sum += totals[1];
    if (totals[0] > 0) [min, max] = [Math.min(min, totals[2]), Math.max(max, totals[3])];
  }
  if (count < inBuckets || count === 0) {
    // Without totals that cover every value, the buckets say what they can.
    [min, max] = [buckets[0]?.lo, buckets.length > 0 ? Math.max(...buckets.map((bucket) => bucket.hi)) - 1 : undefined];
  }
  return { buckets, inBuckets, count: Math.max(count, inBuckets), sum, min, max };
}

/** The nearest-rank percentile: the middle of its bucket, within the extremes. */
export function percentile({ buckets, inBuckets, min, max }, q) {
  if (inBuckets === 0) return null;
  const rank = Math.min(Math.max(Math.ceil(q * inBuckets), 1), inBuckets);
  let below = 0;
  for (const { lo, hi, count } of buckets) {
    below += count;
    if (below >= rank) return Math.min(Math.max(lo + Math.floor((hi - lo) / 2), min), Math.max(max, min));
  }
  return null;
}
