/** The content of a pickle as inert data: nothing in it has behaviour, whatever class it had in Python. */

/**
 * A value of a pickle. Dictionaries are Maps, because their keys come from untrusted files; tuples, lists and sets are arrays.
 * Values may contain themselves, so whoever walks through them must mark where it has been.
 */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array<ArrayBuffer>
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleGlobal
  | PickleObject;

/** A name that the pickle refers to, such as `torch.FloatStorage`. It is never looked up. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

/**
 * The placeholder of an object that Python would make by calling something: the name of what would be called, its arguments,
 * and what the pickle then puts into the object.
 */
export class PickleObject {
  /** The argument of `__setstate__`, or the attributes. */
  state: PickleValue = null;
  /** The entries of an object that is a dictionary, such as a `defaultdict`. */
  readonly entries = new Map<PickleValue, PickleValue>();
  /** The elements of an object that is a list or a set. */
  readonly elements: PickleValue[] = [];

  constructor(
    /** The name of the function or class as `module.name`, or what stands for it. */
    readonly callee: string,
    readonly args: readonly PickleValue[],
  ) {}
}

/** The name by which the persistent id of a pickle occurs as a placeholder's callee. Python has no such name. */
export const PERSISTENT = 'a persistent id';
