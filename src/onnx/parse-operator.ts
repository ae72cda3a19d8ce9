/** The names of dino8's operators, which end with suffixes for variants. */
import { AND_GATHERED_SUM, AND_SUM, QUANTIZED, ROUNDED } from './dino8-operators.ts';

const SUFFIXES: RegExp = new RegExp(`(${ROUNDED})?(${QUANTIZED}(?:${AND_SUM}|${AND_GATHERED_SUM})?)?$`);

/** Splits the name of an operator into the base and what its suffixes say: a rounded residual sum, and a first result in bytes. */
export function parseOperator(name: string): {
  readonly base: string;
  readonly isRounded: boolean;
  readonly isQuantized: boolean;
} {
  const [suffixes = '', rounded, quantized] = SUFFIXES.exec(name) ?? [];
  const base = name.slice(0, name.length - suffixes.length);
  return { base, isRounded: rounded !== undefined, isQuantized: quantized !== undefined };
}
