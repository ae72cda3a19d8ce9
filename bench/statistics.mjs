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
