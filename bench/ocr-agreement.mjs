// How far the outputs of a quantized text detector or recogniser are from those of the float model.
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { quantile } from './statistics.mjs';

/** Pixels of a text map above this probability are text (https://arxiv.org/abs/1911.08947, section 3.5). */
const TEXT = 0.3;
const RESAMPLES = 1000;

/**
 * The text of a map of probabilities [1, positions, classes]: the most probable classes, repeated ones once, and the blank 0
 * left out (CTC).
 *
 * @returns { text: class numbers, probability: the mean of their probabilities, 0 if there are none }
 */
export function decode({ data, shape }) {
  const width = shape.at(-1);
  const text = [];
  let [sum, previous] = [0, 0];
  for (let start = 0; start < data.length; start += width) {
    let best = 0;
    for (let each = 1; each < width; each++) if (data[start + each] > data[start + best]) best = each;
    if (best !== 0 && best !== previous) {
      text.push(best);
      sum += data[start + best];
    }
    previous = best;
  }
  return { text, probability: text.length === 0 ? 0 : sum / text.length };
}

/** The number of insertions, deletions and substitutions between two lists (Levenshtein 1966). */
function editDistance(a, b) {
  let row = b.map((_, index) => index + 1);
  for (const [i, left] of a.entries()) {
    let [diagonal, before] = [i, i + 1];
    row = row.map((above, j) => {
      before = Math.min(above + 1, before + 1, diagonal + (left === b[j] ? 0 : 1));
      diagonal = above;
      return before;
    });
  }
  return row.at(-1) ?? a.length;
}

/**
 * Sums over one output: energies of signal and noise, and what counts of them.
 * - detector: pixels that both call text, and pixels that either does, so that their ratio is intersection over union
 * - recogniser: 1 if the line is read the same, and 1; also the edit distance and the number of characters
 */
export function compareOutputs(kind, float, other) {
  let [signal, noise, common, either] = [0, 0, 0, 0];
  for (let at = 0; at < float.data.length; at++) {
    const [x, y] = [float.data[at], other.data[at]];
    signal += x * x;
    noise += (x - y) * (x - y);
    if (x > TEXT && y > TEXT) common++;
    if (x > TEXT || y > TEXT) either++;
  }
  if (kind === 'det') return { signal, noise, same: common, all: either, edits: 0, characters: 0 };
  const [a, b] = [decode(float).text, decode(other).text];
  const edits = editDistance(a, b);
  return { signal, noise, same: edits === 0 ? 1 : 0, all: 1, edits, characters: a.length };
}

/**
 * Figures of all outputs, with the 95 % interval of the agreement by resampling pictures (Efron 1979).
 *
 * @param compared results of `compareOutputs` with the number of their picture, { picture, … }
 */
export function summarise(compared) {
  const ratio = (some, a, b) => sumOf(some, a) / Math.max(sumOf(some, b), 1e-12);
  const pictures = [...new Set(compared.map(({ picture }) => picture))].map((number) => {
    const some = compared.filter(({ picture }) => picture === number);
    return { same: sumOf(some, 'same'), all: sumOf(some, 'all') };
  });
  const random = xoroshiro128plus(1);
  const resampled = Array.from({ length: RESAMPLES }, () =>
    ratio(
      pictures.map(() => pictures[uniformInt(random, 0, pictures.length - 1)]),
      'same',
      'all',
    ),
  );
  return {
    decibels: 10 * Math.log10(ratio(compared, 'signal', 'noise')),
    agreement: ratio(compared, 'same', 'all'),
    interval: [quantile(resampled, 0.025), quantile(resampled, 0.975)],
    characterErrors: ratio(compared, 'edits', 'characters'),
  };
}

const sumOf = (some, key) => some.reduce((sum, each) => sum + each[key], 0);
