// Compares the boxes of two runs of one detector. The order of queries may differ: the top-k orders proposals by scores that are
// nearly equal, and 8-bit rounding decides between them. So each query is matched with the one that is nearest to it.

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** The boxes and the probabilities of tokens of each query, as rows. */
function rowsOf({ logits, boxes }) {
  const [, queries, tokens] = logits.shape;
  return Array.from({ length: queries }, (_, query) => ({
    box: boxes.data.slice(query * 4, query * 4 + 4),
    probabilities: Float32Array.from(logits.data.subarray(query * tokens, (query + 1) * tokens), sigmoid),
  }));
}

const largest = (a, b) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
/** Largest difference of a side, in parts of the picture, and of a token's probability. */
const distance = (a, b) => Math.max(largest(a.box, b.box), largest(a.probabilities, b.probabilities));

/**
 * @param a results of one image: `logits` [1, queries, tokens] and `boxes` [1, queries, 4]
 * @returns `queries`, how many there are; `moved`, the number of queries whose match has another place; `mean` and `most`, the mean and the largest distance of
 * matched queries; `inOrder`, the mean distance of queries of the same place
 */
export function compareQueries(a, b) {
  const [rows, others] = [rowsOf(a), rowsOf(b)];
  const pairs = rows
    .flatMap((row, i) => others.map((other, j) => ({ i, j, apart: distance(row, other) })))
    .toSorted((x, y) => x.apart - y.apart);
  const [matched, taken] = [new Map(), new Set()];
  for (const pair of pairs) {
    if (matched.has(pair.i) || taken.has(pair.j)) continue;
    matched.set(pair.i, pair);
    taken.add(pair.j);
  }
  const apart = [...matched.values()].map((pair) => pair.apart);
  const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
  return {
    moved: [...matched.values()].filter(({ i, j }) => i !== j).length,
    queries: rows.length,
    mean: mean(apart),
    most: Math.max(...apart),
    inOrder: mean(rows.map((row, query) => distance(row, others[query]))),
  };
}
