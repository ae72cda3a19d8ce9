/**
 * A restricted reader of Python pickles: enough of the protocol (https://docs.python.org/3/library/pickletools.html) for
 * the dictionaries of tensors that `torch.save` writes. It builds data and runs nothing: a global is a name to look up
 * in an allow-list, and an opcode that is not listed is refused.
 */
import { InputError } from '../../base/errors.ts';

/** The values in a pickle of tensors. Dictionaries are Maps, because their keys come from untrusted files. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickleGlobal
  | PickleObject;

/** A name that the pickle refers to, such as `torch.FloatStorage`. */
export class PickleGlobal {
  constructor(readonly name: string) {}
}

/** The arguments of a call of an allowed function, or the contents of the persistent id of a storage. */
export class PickleObject {
  constructor(
    readonly kind: string,
    readonly args: readonly PickleValue[],
  ) {}
}

const MARK = Symbol('mark');
type StackItem = PickleValue | typeof MARK;

/**
 * Reads a pickle.
 *
 * @param allowed the globals that may occur, as `module.name`
 * @param source names the file in errors
 * @throws InputError if the pickle is damaged, or uses an opcode or a global that is not allowed
 */
export function readPickle(bytes: Uint8Array, allowed: ReadonlySet<string>, source: string): PickleValue {
  return new Unpickler(bytes, allowed, source).run();
}

class Unpickler {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #allowed: ReadonlySet<string>;
  readonly #source: string;
  readonly #memo = new Map<number, StackItem>();
  readonly #stack: StackItem[] = [];
  #position = 0;

  constructor(bytes: Uint8Array, allowed: ReadonlySet<string>, source: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#allowed = allowed;
    this.#source = source;
  }

  run(): PickleValue {
    for (;;) {
      const opcode = this.#byte();
      if (opcode === 0x2e /* STOP */) return this.#pop();
      const step = Unpickler.steps[opcode];
      if (!step) this.#refuse(`the opcode 0x${opcode.toString(16)}, which no file of tensors has`);
      step.call(this);
    }
  }

  static readonly steps: Readonly<Record<number, (this: Unpickler) => void>> = {
    128: function PROTO() {
      const version = this.#byte();
      if (version < 2 || version > 5) this.#refuse(`pickle protocol ${version}`);
    },
    149: function FRAME() {
      this.#take(8);
    },
    40: function MARK_() {
      this.#stack.push(MARK);
    },
    78: function NONE() {
      this.#stack.push(null);
    },
    136: function NEWTRUE() {
      this.#stack.push(true);
    },
    137: function NEWFALSE() {
      this.#stack.push(false);
    },
    75: function BININT1() {
      this.#stack.push(this.#byte());
    },
    77: function BININT2() {
      this.#stack.push(this.#view.getUint16(this.#take(2), true));
    },
    74: function BININT() {
      this.#stack.push(this.#view.getInt32(this.#take(4), true));
    },
    138: function LONG1() {
      const length = this.#byte();
      const start = this.#take(length);
      let value = 0n;
      for (let index = length - 1; index >= 0; index--) value = (value << 8n) | BigInt(this.#bytes[start + index] ?? 0);
      this.#stack.push(length > 0 ? BigInt.asIntN(length * 8, value) : 0);
    },
    71: function BINFLOAT() {
      this.#stack.push(this.#view.getFloat64(this.#take(8), false));
    },
    88: function BINUNICODE() {
      this.#stack.push(this.#text(this.#view.getUint32(this.#take(4), true)));
    },
    140: function SHORT_BINUNICODE() {
      this.#stack.push(this.#text(this.#byte()));
    },
    93: function EMPTY_LIST() {
      this.#stack.push([]);
    },
    41: function EMPTY_TUPLE() {
      this.#stack.push([]);
    },
    125: function EMPTY_DICT() {
      this.#stack.push(new Map());
    },
    133: function TUPLE1() {
      this.#tuple(1);
    },
    134: function TUPLE2() {
      this.#tuple(2);
    },
    135: function TUPLE3() {
      this.#tuple(3);
    },
    116: function TUPLE() {
      this.#stack.push(this.#popToMark());
    },
    97: function APPEND() {
      const value = this.#pop();
      this.#list().push(value);
    },
    101: function APPENDS() {
      const values = this.#popToMark();
      this.#list().push(...values);
    },
    115: function SETITEM() {
      const [value, key] = [this.#pop(), this.#pop()];
      this.#dictionary().set(key, value);
    },
    117: function SETITEMS() {
      const values = this.#popToMark();
      const target = this.#dictionary();
      for (let index = 0; index + 1 < values.length; index += 2)
        target.set(values[index] ?? null, values[index + 1] ?? null);
    },
    113: function BINPUT() {
      this.#memo.set(this.#byte(), this.#top());
    },
    114: function LONG_BINPUT() {
      this.#memo.set(this.#view.getUint32(this.#take(4), true), this.#top());
    },
    148: function MEMOIZE() {
      this.#memo.set(this.#memo.size, this.#top());
    },
    104: function BINGET() {
      this.#recall(this.#byte());
    },
    106: function LONG_BINGET() {
      this.#recall(this.#view.getUint32(this.#take(4), true));
    },
    99: function GLOBAL() {
      const module = this.#line();
      this.#global(`${module}.${this.#line()}`);
    },
    147: function STACK_GLOBAL() {
      const [name, module] = [this.#pop(), this.#pop()];
      this.#global(`${String(module)}.${String(name)}`);
    },
    82: function REDUCE() {
      const [args, callee] = [this.#pop(), this.#pop()];
      if (!(callee instanceof PickleGlobal) || !Array.isArray(args))
        this.#refuse('a call of something that is no function');
      // An ordered dictionary is made empty and filled by SETITEMS.
      this.#stack.push(callee.name === 'collections.OrderedDict' ? new Map() : new PickleObject(callee.name, args));
    },
    81: function BINPERSID() {
      const id = this.#pop();
      if (!Array.isArray(id)) this.#refuse('a storage without a description');
      this.#stack.push(new PickleObject('storage', id));
    },
    98: function BUILD() {
      this.#pop(); // attributes of a dictionary, such as the versions of modules: not needed
    },
  };

  #byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  /** Moves past `count` bytes and returns their start. */
  #take(count: number): number {
    const start = this.#position;
    if (count > this.#bytes.length - start) this.#refuse('an end in the middle of a value');
    this.#position = start + count;
    return start;
  }

  #text(length: number): string {
    const start = this.#take(length);
    return new TextDecoder().decode(this.#bytes.subarray(start, start + length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#position);
    if (end < 0) this.#refuse('an end in the middle of a name');
    const text = this.#text(end - this.#position);
    this.#position = end + 1;
    return text;
  }

  #global(name: string): void {
    if (!this.#allowed.has(name))
      this.#refuse(`the global ${name.slice(0, 100)}, which is not one of those a checkpoint needs; nothing was run`);
    this.#stack.push(new PickleGlobal(name));
  }

  #top(): StackItem {
    const item = this.#stack.at(-1);
    if (item === undefined) this.#refuse('an empty stack');
    return item;
  }

  #pop(): PickleValue {
    const item = this.#stack.pop();
    if (item === undefined || item === MARK) this.#refuse('an empty stack');
    return item;
  }

  #popToMark(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) this.#refuse('an end without a beginning');
    const values = this.#stack.splice(mark);
    return values.filter((value): value is PickleValue => value !== MARK);
  }

  #tuple(count: number): void {
    const values = Array.from({ length: count }, () => this.#pop());
    this.#stack.push(values.reverse());
  }

  #recall(index: number): void {
    const item = this.#memo.get(index);
    if (item === undefined) this.#refuse('a reference to nothing');
    this.#stack.push(item);
  }

  #list(): PickleValue[] {
    const item = this.#top();
    if (!Array.isArray(item)) this.#refuse('an element of something that is no list');
    return item;
  }

  #dictionary(): Map<PickleValue, PickleValue> {
    const item = this.#top();
    if (!(item instanceof Map)) this.#refuse('an entry of something that is no dictionary');
    return item;
  }

  #refuse(what: string): never {
    throw new InputError(`${this.#source} has ${what}; refused.`);
  }
}
