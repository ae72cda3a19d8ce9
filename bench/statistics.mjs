// Statistics for the side-by-side measurements.

/** The quantile of values at a fraction from 0 to 1. */
export const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.round((values.length - 1) * share)];

/** Runs every contender `rounds` times in a process of its own, in turns, so that a drift of the machine affects all. */
export function inTurns(contenders, rounds, measure) {
  const results = contenders.map(({ name }) => ({ name, seconds: [], peaks: [], loads: [] }));
  for (let round = 0; round < rounds; round++)
    for (const [index, contender] of contenders.entries()) {
      const { run_s: seconds, peak_rss_mb: peak, load_s: load } = measure(contender);
      results[index].seconds.push(...seconds);
      results[index].peaks.push(peak);
      results[index].loads.push(load);
      process.stderr.write(`round ${round + 1}/${rounds} ${contender.name}: ${quantile(seconds, 0.5).toFixed(3)} s\n`);
    }
  return results;
}

/**
 * The ratio of the medians of two contenders' rounds, and the smallest and the largest ratio of a single round. A round is a
 * number or a list of numbers.
 */
export function ratioOf(rounds, others, factor = 1) {
  const middle = (values) => quantile([values].flat(2), 0.5);
  const of = (a, b) => (factor * middle(a)) / middle(b);
  const single = rounds.map((round, at) => of(round, others[at]));
  return {
    measured: of(rounds, others).toFixed(3),
    rounds: `${Math.min(...single).toFixed(3)}–${Math.max(...single).toFixed(3)}`,
  };
}
