/**
 * A reader of Python pickles (https://docs.python.org/3/library/pickletools.html), of every protocol. It builds data and runs
 * nothing: a global is a name, and whatever Python would call becomes a placeholder that remembers its arguments. Work and
 * memory are bounded by the size of the pickle and by a number of values.
 */
import { PickleBytes } from './pickle-bytes.ts';
import { PickleMachine } from './pickle-machine.ts';
import { OPCODES, STOP } from './pickle-opcodes.ts';
import type { PickleObject, PickleValue } from './pickle-values.ts';

/** The largest pickle that is read. The pickle of a checkpoint does not contain the tensors' elements. */
const LARGEST_PICKLE = 1 << 28;
/** The maximum number of opcodes. */
const MAX_STEPS = 30_000_000;

/** A pickle's value, and where the next pickle in the file begins. */
export interface ReadPickle {
  readonly value: PickleValue;
  /** The placeholders of everything that the pickle names by a persistent id, such as storages. */
  readonly persistent: readonly PickleObject[];
  /** The position after the pickle. */
  readonly end: number;
}

/**
 * Reads a pickle.
 *
 * @param source names the file in errors
 * @param start where it begins in `bytes`
 * @throws InputError if the pickle is damaged or larger than any checkpoint's
 */
export function readPickle(bytes: Uint8Array<ArrayBuffer>, source: string, start = 0): ReadPickle {
  // The type is stated, so that the compiler knows that `refuse` does not return.
  const input: PickleBytes = new PickleBytes(bytes, source, start);
  const machine = new PickleMachine(input);
  for (let count = 0; count < MAX_STEPS && input.position - start < LARGEST_PICKLE; count++) {
    const code = input.byte();
    if (code === STOP) return { value: machine.pop(), persistent: machine.persistent, end: input.position };
    const opcode = OPCODES[code];
    if (!opcode) input.refuse(`the opcode 0x${code.toString(16)}, which is none of a pickle's`);
    opcode(machine);
  }
  input.refuse('a description of its tensors that is larger than any checkpoint needs');
}
