/** Whether an operator means the same in two versions of the ONNX operators. */
import { RAISING } from '../import/raise-opset.ts';
import { LOWERING } from './lowering.ts';

/** True if a node of this operator has to be rewritten to go from one version to the other, or cannot go there at all. */
export function changedBetween(operator: string, one: number, other: number): boolean {
  const [low, high] = one < other ? [one, other] : [other, one];
  return [RAISING, LOWERING].some(
    (table) =>
      Object.hasOwn(table, operator) && (table[operator] ?? []).some(({ since }) => low < since && since <= high),
  );
}
