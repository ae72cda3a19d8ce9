/**
 * A reader of Python pickles (https://docs.python.org/3/library/pickletools.html), of every protocol. It builds data and runs
 * nothing: a global is a name, and whatever Python would call becomes a placeholder that remembers its arguments. Work and
 * memory are bounded by the size of the pickle and by a number of values.
 */
import { InputError } from '../../base/errors.ts';
import { PERSISTENT, PickleGlobal, PickleObject, type PickleValue } from './pickle-values.ts';

/** The largest pickle that is read. The pickle of a checkpoint does not contain the tensors' elements. */
const LARGEST_PICKLE = 1 << 28;
/** The maximum number of lists, dictionaries and objects. A training state of a large model has about a hundred thousand. */
const MAX_CONTAINERS = 2_000_000;
/** The maximum number of opcodes. */
const MAX_STEPS = 30_000_000;
/** The maximum length of a global's name, and of a number in bytes or digits. */
const LONGEST_NAME = 1000;
const LONGEST_NUMBER = 1000;

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
  return new Unpickler(bytes, source, start).run();
}

type Step = (this: Unpickler) => void;

class Unpickler {
  readonly #view: DataView;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #source: string;
  readonly #memo = new Map<number, PickleValue>();
  readonly #marks: number[] = [];
  readonly #persistent: PickleObject[] = [];
  readonly #start: number;
  #stack: PickleValue[] = [];
  #position: number;
  #containers = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>, source: string, start: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#source = source;
    this.#start = start;
    this.#position = start;
  }

  run(): ReadPickle {
    for (let count = 0; count < MAX_STEPS && this.#position - this.#start < LARGEST_PICKLE; count++) {
      const opcode = this.#byte();
      if (opcode === 0x2e /* STOP */) return { value: this.#pop(), persistent: this.#persistent, end: this.#position };
      const step = STEPS[opcode];
      if (!step) this.#refuse(`the opcode 0x${opcode.toString(16)}, which is none of a pickle's`);
      step.call(this);
    }
    this.#refuse('a description of its tensors that is larger than any checkpoint needs');
  }

  protocol(): void {
    const version = this.#byte();
    if (version > 5) this.#refuse(`pickle protocol ${version}, which dino8 does not know`);
  }

  skip(count: number): void {
    this.#take(count);
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  /** Pushes a new list, dictionary or object. */
  create(container: PickleValue): void {
    if (++this.#containers > MAX_CONTAINERS)
      this.#refuse(`more than ${MAX_CONTAINERS} lists, dictionaries and objects`);
    this.#stack.push(container);
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  uint(size: 1 | 2 | 4): number {
    const at = this.#take(size);
    return size === 1
      ? this.#view.getUint8(at)
      : size === 2
        ? this.#view.getUint16(at, true)
        : this.#view.getUint32(at, true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** A length of eight bytes. */
  length64(): number {
    const length = this.#view.getBigUint64(this.#take(8), true);
    if (length > BigInt(this.#bytes.length)) this.#refuse('an end in the middle of a value');
    return Number(length);
  }

  /** An integer of any size, in two's complement. */
  long(length: number): number | bigint {
    if (length > LONGEST_NUMBER) this.#refuse(`a number of ${length} bytes`);
    const start = this.#take(length);
    if (length === 0) return 0;
    const digits = [...this.#bytes.subarray(start, start + length)].reverse();
    const value = BigInt(`0x${digits.map((digit) => digit.toString(16).padStart(2, '0')).join('')}`);
    return small(BigInt.asIntN(length * 8, value));
  }

  bytes(length: number): Uint8Array<ArrayBuffer> {
    const start = this.#take(length);
    return this.#bytes.subarray(start, start + length);
  }

  text(length: number): string {
    return new TextDecoder().decode(this.bytes(length));
  }

  line(longest = Number.POSITIVE_INFINITY): string {
    const end = this.#bytes.indexOf(0x0a, this.#position);
    if (end < 0) this.#refuse('an end in the middle of a line');
    if (end - this.#position > longest)
      this.#refuse(`a line of ${end - this.#position} bytes where a short one is due`);
    const text = this.text(end - this.#position);
    this.#position = end + 1;
    return text;
  }

  /** A number as text, of protocol 0. */
  integerLine(): void {
    const text = this.line(LONGEST_NUMBER);
    if (!/^[+-]?\d+L?$/.test(text)) this.#refuse('a number that is none');
    // The texts 00 and 01 are the booleans.
    this.push(text === '00' || text === '01' ? text === '01' : small(BigInt(text.replace(/^\+|L$/g, ''))));
  }

  globalName(): string {
    const module = this.line(LONGEST_NAME);
    return `${module}.${this.line(LONGEST_NAME)}`;
  }

  stackGlobal(): void {
    const [name, module] = [this.#pop(), this.#pop()];
    if (typeof name !== 'string' || typeof module !== 'string') this.#refuse('a global whose name is no text');
    if (name.length + module.length > LONGEST_NAME) this.#refuse('a global with an endless name');
    this.create(new PickleGlobal(`${module}.${name}`));
  }

  /** Calls nothing: pushes the placeholder of the result of a call. */
  call(callee: PickleValue, args: PickleValue): void {
    if (!(callee instanceof PickleGlobal) && !(callee instanceof PickleObject))
      this.#refuse('a call of something that is no function');
    if (!Array.isArray(args)) this.#refuse('a call whose arguments are no tuple');
    const name = callee instanceof PickleGlobal ? callee.name : callee.callee;
    this.create(dictionaryOf(name, args) ?? new PickleObject(name, args));
  }

  reduce(): void {
    const args = this.#pop();
    this.call(this.#pop(), args);
  }

  newObject(): void {
    const args = this.#pop();
    this.call(this.#pop(), args);
  }

  newObjectWithNames(): void {
    this.#pop(); // arguments by name, which no object of a checkpoint's tensors has
    this.newObject();
  }

  objectOfMark(): void {
    const [callee = null, ...args] = this.popToMark();
    this.call(callee, args);
  }

  persistent(id: PickleValue): void {
    const named = new PickleObject(PERSISTENT, Array.isArray(id) ? id : [id]);
    this.#persistent.push(named);
    this.create(named);
  }

  pop(): PickleValue {
    return this.#pop();
  }

  append(): void {
    const value = this.#pop();
    this.#elements().push(value);
  }

  appends(): void {
    const values = this.popToMark();
    const target = this.#elements();
    for (const value of values) target.push(value);
  }

  setItem(): void {
    const [value, key] = [this.#pop(), this.#pop()];
    this.#entries().set(key, value);
  }

  setItems(): void {
    const values = this.popToMark();
    fill(this.#entries(), values);
  }

  dictionaryOfMark(): void {
    this.create(fill(new Map(), this.popToMark()));
  }

  /** Keeps the state that Python would give to `__setstate__` or to the attributes. */
  build(): void {
    const state = this.#pop();
    const target = this.#top();
    // The attributes of a dictionary, such as the versions of modules, are not needed.
    if (target instanceof PickleObject) target.state = state;
  }

  duplicate(): void {
    this.push(this.#top());
  }

  /** POP takes away a mark if one is on top. */
  drop(): void {
    if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.#pop();
  }

  remember(index: number): void {
    this.#memo.set(index, this.#top());
  }

  memoize(): void {
    this.remember(this.#memo.size);
  }

  recall(index: number): void {
    const item = this.#memo.get(index);
    if (item === undefined) this.#refuse('a reference to nothing');
    this.push(item);
  }

  memoIndexLine(): number {
    const index = Number(this.line(20));
    if (!Number.isSafeInteger(index) || index < 0) this.#refuse('a reference to nothing');
    return index;
  }

  tuple(count: number): void {
    const values = Array.from({ length: count }, () => this.#pop());
    this.create(values.reverse());
  }

  outOfBand(): void {
    this.#refuse('data that is kept outside of the file');
  }

  popToMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined || mark > this.#stack.length) this.#refuse('an end without a beginning');
    return this.#stack.splice(mark);
  }

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

  #top(): PickleValue {
    const item = this.#stack.at(-1);
    if (item === undefined || this.#marks.at(-1) === this.#stack.length) this.#refuse('an empty stack');
    return item;
  }

  #pop(): PickleValue {
    const item = this.#top();
    this.#stack.pop();
    return item;
  }

  #elements(): PickleValue[] {
    const item = this.#top();
    if (Array.isArray(item)) return item;
    if (item instanceof PickleObject) return item.elements;
    this.#refuse('an element of something that is no list');
  }

  #entries(): Map<PickleValue, PickleValue> {
    const item = this.#top();
    if (item instanceof Map) return item;
    if (item instanceof PickleObject) return item.entries;
    this.#refuse('an entry of something that is no dictionary');
  }

  #refuse(what: string): never {
    throw new InputError(`${this.#source} has ${what}, so it is damaged or not a checkpoint; nothing in it was run.`);
  }
}

/** The action of each opcode, by Python's names for them. */
const STEPS: Readonly<Record<number, Step>> = {
  128: function PROTO() {
    this.protocol();
  },
  149: function FRAME() {
    this.skip(8);
  },
  40: function MARK() {
    this.mark();
  },
  48: function POP() {
    this.drop();
  },
  49: function POP_MARK() {
    this.popToMark();
  },
  50: function DUP() {
    this.duplicate();
  },
  78: function NONE() {
    this.push(null);
  },
  136: function NEWTRUE() {
    this.push(true);
  },
  137: function NEWFALSE() {
    this.push(false);
  },
  75: function BININT1() {
    this.push(this.uint(1));
  },
  77: function BININT2() {
    this.push(this.uint(2));
  },
  74: function BININT() {
    this.push(this.int32());
  },
  138: function LONG1() {
    this.push(this.long(this.uint(1)));
  },
  139: function LONG4() {
    this.push(this.long(this.uint(4)));
  },
  73: function INT() {
    this.integerLine();
  },
  76: function LONG() {
    this.integerLine();
  },
  70: function FLOAT() {
    this.push(Number(this.line(LONGEST_NUMBER)));
  },
  71: function BINFLOAT() {
    this.push(this.float64());
  },
  83: function STRING() {
    this.push(this.line().replace(/^(['"])(.*)\1$/s, '$2'));
  },
  84: function BINSTRING() {
    this.push(this.text(this.uint(4)));
  },
  85: function SHORT_BINSTRING() {
    this.push(this.text(this.uint(1)));
  },
  86: function UNICODE() {
    this.push(this.line());
  },
  88: function BINUNICODE() {
    this.push(this.text(this.uint(4)));
  },
  140: function SHORT_BINUNICODE() {
    this.push(this.text(this.uint(1)));
  },
  141: function BINUNICODE8() {
    this.push(this.text(this.length64()));
  },
  66: function BINBYTES() {
    this.create(this.bytes(this.uint(4)));
  },
  67: function SHORT_BINBYTES() {
    this.create(this.bytes(this.uint(1)));
  },
  142: function BINBYTES8() {
    this.create(this.bytes(this.length64()));
  },
  150: function BYTEARRAY8() {
    this.create(this.bytes(this.length64()));
  },
  151: function NEXT_BUFFER() {
    this.outOfBand();
  },
  152: function READONLY_BUFFER() {
    this.outOfBand();
  },
  93: function EMPTY_LIST() {
    this.create([]);
  },
  41: function EMPTY_TUPLE() {
    this.create([]);
  },
  143: function EMPTY_SET() {
    this.create([]);
  },
  125: function EMPTY_DICT() {
    this.create(new Map());
  },
  100: function DICT() {
    this.dictionaryOfMark();
  },
  108: function LIST() {
    this.create(this.popToMark());
  },
  116: function TUPLE() {
    this.create(this.popToMark());
  },
  145: function FROZENSET() {
    this.create(this.popToMark());
  },
  133: function TUPLE1() {
    this.tuple(1);
  },
  134: function TUPLE2() {
    this.tuple(2);
  },
  135: function TUPLE3() {
    this.tuple(3);
  },
  97: function APPEND() {
    this.append();
  },
  101: function APPENDS() {
    this.appends();
  },
  144: function ADDITEMS() {
    this.appends();
  },
  115: function SETITEM() {
    this.setItem();
  },
  117: function SETITEMS() {
    this.setItems();
  },
  112: function PUT() {
    this.remember(this.memoIndexLine());
  },
  113: function BINPUT() {
    this.remember(this.uint(1));
  },
  114: function LONG_BINPUT() {
    this.remember(this.uint(4));
  },
  148: function MEMOIZE() {
    this.memoize();
  },
  103: function GET() {
    this.recall(this.memoIndexLine());
  },
  104: function BINGET() {
    this.recall(this.uint(1));
  },
  106: function LONG_BINGET() {
    this.recall(this.uint(4));
  },
  99: function GLOBAL() {
    this.create(new PickleGlobal(this.globalName()));
  },
  147: function STACK_GLOBAL() {
    this.stackGlobal();
  },
  130: function EXT1() {
    this.create(new PickleGlobal(`extension code ${this.uint(1)}`));
  },
  131: function EXT2() {
    this.create(new PickleGlobal(`extension code ${this.uint(2)}`));
  },
  132: function EXT4() {
    this.create(new PickleGlobal(`extension code ${this.uint(4)}`));
  },
  82: function REDUCE() {
    this.reduce();
  },
  129: function NEWOBJ() {
    this.newObject();
  },
  146: function NEWOBJ_EX() {
    this.newObjectWithNames();
  },
  105: function INST() {
    const name = this.globalName();
    this.call(new PickleGlobal(name), this.popToMark());
  },
  111: function OBJ() {
    this.objectOfMark();
  },
  80: function PERSID() {
    this.persistent(this.line());
  },
  81: function BINPERSID() {
    this.persistent(this.pop());
  },
  98: function BUILD() {
    this.build();
  },
};

/** A whole number as `number` where that is exact. */
function small(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** The dictionary that a call of Python's own classes makes, which SETITEMS then fills; undefined for any other call. */
function dictionaryOf(callee: string, args: readonly PickleValue[]): Map<PickleValue, PickleValue> | undefined {
  if (callee === 'collections.defaultdict') return new Map();
  if (callee !== 'collections.OrderedDict') return undefined;
  const [pairs = []] = args;
  if (!Array.isArray(pairs)) return undefined;
  const result = new Map<PickleValue, PickleValue>();
  for (const pair of pairs) {
    if (!Array.isArray(pair)) return undefined;
    result.set(pair[0] ?? null, pair[1] ?? null);
  }
  return result;
}

/** Adds keys and values, which follow each other in `values`, to a dictionary. */
function fill(target: Map<PickleValue, PickleValue>, values: readonly PickleValue[]): Map<PickleValue, PickleValue> {
  for (let index = 0; index + 1 < values.length; index += 2)
    target.set(values[index] ?? null, values[index + 1] ?? null);
  return target;
}
