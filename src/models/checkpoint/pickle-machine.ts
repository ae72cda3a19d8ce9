/**
 * The machine that a pickle is a program of: a stack, marks in it, and a memory of values to come back to. It builds data and
 * calls nothing, and has bounds for whatever a short program could make without end.
 */
import type { PickleBytes } from './pickle-bytes.ts';
import { PERSISTENT, PickleGlobal, PickleObject, type PickleValue } from './pickle-values.ts';

/**
 * The maximum number of lists, dictionaries, objects and entries of dictionaries that are copied. A training state of a large
 * model has about a hundred thousand.
 */
const MAX_CONTAINERS = 2_000_000;
/** The maximum number of entries of a dictionary and of values to come back to. A `Map` of JavaScript has room for 2^24. */
const MAX_ENTRIES = 2_000_000;
/** The maximum length of a global's name. */
const LONGEST_NAME = 1000;
/** The latest protocol. */
const LATEST = 5;

/** The state of the machine, and what the opcodes do to it. */
export class PickleMachine {
  /** The program. */
  readonly input: PickleBytes;
  /** The placeholders of everything that was named by a persistent id. */
  readonly persistent: PickleObject[] = [];
  readonly #memo = new Map<number, PickleValue>();
  readonly #marks: number[] = [];
  readonly #stack: PickleValue[] = [];
  #containers = 0;

  constructor(input: PickleBytes) {
    this.input = input;
  }

  protocol(): void {
    const version = this.input.byte();
    if (version > LATEST) this.input.refuse(`pickle protocol ${version}, which dino8 does not know`);
  }

  push(value: PickleValue): void {
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const item = this.#top();
    this.#stack.pop();
    return item;
  }

  /** Pushes a new list, dictionary or object. */
  create(container: PickleValue): void {
    this.#count(1);
    this.#stack.push(container);
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  popToMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined || mark > this.#stack.length) this.input.refuse('an end without a beginning');
    return this.#stack.splice(mark);
  }

  /** Takes away the value on top, or a mark if that is there. */
  drop(): void {
    if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop();
  }

  duplicate(): void {
    this.push(this.#top());
  }

  /** A module and a name in it, as lines. */
  globalOfLines(): PickleGlobal {
    const module = this.input.line(LONGEST_NAME);
    return new PickleGlobal(`${module}.${this.input.line(LONGEST_NAME)}`);
  }

  globalOfStack(): PickleGlobal {
    const [name, module] = [this.pop(), this.pop()];
    if (typeof name !== 'string' || typeof module !== 'string') this.input.refuse('a global whose name is no text');
    if (name.length + module.length > LONGEST_NAME) this.input.refuse('a global with an endless name');
    return new PickleGlobal(`${module}.${name}`);
  }

  /** Calls nothing: pushes the placeholder of the result of a call. */
  call(callee: PickleValue, args: PickleValue): void {
    if (!(callee instanceof PickleGlobal) && !(callee instanceof PickleObject))
      this.input.refuse('a call of something that is no function');
    if (!Array.isArray(args)) this.input.refuse('a call whose arguments are no tuple');
    const name = callee instanceof PickleGlobal ? callee.name : callee.callee;
    this.create(this.#dictionaryOfCall(name, args) ?? new PickleObject(name, args));
  }

  /** As `call`, with the arguments on top of the stack, and below them what would be called. */
  callOfStack(): void {
    const args = this.pop();
    this.call(this.pop(), args);
  }

  callOfMark(): void {
    const [callee = null, ...args] = this.popToMark();
    this.call(callee, args);
  }

  /** Pushes the placeholder of what the file has outside of the pickle. */
  named(id: PickleValue): void {
    const object = new PickleObject(PERSISTENT, Array.isArray(id) ? id : [id]);
    this.persistent.push(object);
    this.create(object);
  }

  /** Adds values to the list below them. */
  append(values: readonly PickleValue[]): void {
    const target = this.#elements();
    for (const value of values) target.push(value);
  }

  /** Adds keys and values, which follow each other, to the dictionary below them. */
  setItems(values: readonly PickleValue[]): void {
    this.#fill(this.#entries(), values);
  }

  /** As `setItems`, for the key and the value on top of the stack. */
  setItem(): void {
    const [value, key] = [this.pop(), this.pop()];
    this.setItems([key, value]);
  }

  dictionaryOfMark(): void {
    this.create(this.#fill(new Map(), this.popToMark()));
  }

  tuple(count: number): void {
    this.create(Array.from({ length: count }, () => this.pop()).reverse());
  }

  /** Keeps the state that Python would give to `__setstate__` or to the attributes. */
  build(): void {
    const state = this.pop();
    const target = this.#top();
    // The attributes of a dictionary, such as the versions of modules, are not needed.
    if (target instanceof PickleObject) target.state = state;
  }

  remember(index: number): void {
    this.#set(this.#memo, index, this.#top());
  }

  /** Remembers the value on top under the next number. */
  memoize(): void {
    this.remember(this.#memo.size);
  }

  recall(index: number): void {
    const item = this.#memo.get(index);
    if (item === undefined) this.input.refuse('a reference to nothing');
    this.push(item);
  }

  memoIndexLine(): number {
    const index = Number(this.input.line(20));
    if (!Number.isSafeInteger(index) || index < 0) this.input.refuse('a reference to nothing');
    return index;
  }

  #count(made: number): void {
    this.#containers += made;
    if (this.#containers > MAX_CONTAINERS)
      this.input.refuse(`more than ${MAX_CONTAINERS} lists, dictionaries and objects`);
  }

  #set<Key>(map: Map<Key, PickleValue>, key: Key, value: PickleValue): void {
    if (map.size >= MAX_ENTRIES) this.input.refuse(`more than ${MAX_ENTRIES} entries in one dictionary`);
    map.set(key, value);
  }

  #fill(target: Map<PickleValue, PickleValue>, values: readonly PickleValue[]): Map<PickleValue, PickleValue> {
    for (let index = 0; index + 1 < values.length; index += 2)
      this.#set(target, values[index] ?? null, values[index + 1] ?? null);
    return target;
  }

  /**
   * The dictionary that a call of Python's own classes makes, which SETITEMS then fills; undefined for any other call. The pairs
   * stay where they are, so that a short pickle could have them copied any number of times.
   */
  #dictionaryOfCall(callee: string, args: readonly PickleValue[]): Map<PickleValue, PickleValue> | undefined {
    if (callee === 'collections.defaultdict') return new Map();
    if (callee !== 'collections.OrderedDict') return undefined;
    const [pairs = []] = args;
    if (!Array.isArray(pairs)) return undefined;
    this.#count(pairs.length);
    const result = new Map<PickleValue, PickleValue>();
    for (const pair of pairs) {
      if (!Array.isArray(pair)) return undefined;
      result.set(pair[0] ?? null, pair[1] ?? null);
    }
    return result;
  }

  #top(): PickleValue {
    const item = this.#stack.at(-1);
    if (item === undefined || this.#marks.at(-1) === this.#stack.length) this.input.refuse('an empty stack');
    return item;
  }

  #elements(): PickleValue[] {
    const item = this.#top();
    if (Array.isArray(item)) return item;
    if (item instanceof PickleObject) return item.elements;
    this.input.refuse('an element of something that is no list');
  }

  #entries(): Map<PickleValue, PickleValue> {
    const item = this.#top();
    if (item instanceof Map) return item;
    if (item instanceof PickleObject) return item.entries;
    this.input.refuse('an entry of something that is no dictionary');
  }
}
