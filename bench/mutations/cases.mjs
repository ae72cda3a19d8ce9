// The mutated file of a case. It follows from the seed, the number of the case and the kind, and from nothing else.
import { KINDS } from './kinds.mjs';
import { generator } from './mutate.mjs';

/** The valid files of each kind, read when the first is needed. */
const seeds = new Map();

/** Returns the bytes of a case, and the generator for what else is chosen in it. `prepared` is the folder of `prepare`. */
export function caseOf(name, seed, number, prepared) {
  const kind = KINDS[name];
  if (!seeds.has(name)) seeds.set(name, kind.seeds(prepared));
  const files = seeds.get(name);
  const random = generator(seed, number);
  const [file, other] = [files[random(files.length)], files[random(files.length)]];
  return { bytes: kind.mutate(file, random, other), random };
}

/** The kind of a case, by the weights of `names`. */
export function kindOf(names, seed, number) {
  const total = names.reduce((sum, name) => sum + KINDS[name].weight, 0);
  let left = (generator(seed + 1, number)(1 << 30) / (1 << 30)) * total;
  for (const name of names) {
    left -= KINDS[name].weight;
    if (left < 0) return name;
  }
  return names[0];
}
