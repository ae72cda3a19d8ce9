/** The bytes of a pickle, from which numbers, texts and lines are taken in turn. Every length is checked before it is used. */
import { InputError } from '../../base/errors.ts';

/** The maximum length of a number in bytes or digits. */
const LONGEST_NUMBER = 1000;

/** Reads the arguments of opcodes. Python's names for the opcodes that have them are in pickle-opcodes.ts. */
export class PickleBytes {
  readonly #view: DataView;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #source: string;
  #position: number;

  /**
   * @param source names the file in errors
   * @param start where the pickle begins in `bytes`
   */
  constructor(bytes: Uint8Array<ArrayBuffer>, source: string, start: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#source = source;
    this.#position = start;
  }

  /** The place of the next byte. */
  get position(): number {
    return this.#position;
  }

  /** @throws InputError that says what the file has which no checkpoint has */
  refuse(what: string): never {
    throw new InputError(`${this.#source} has ${what}, so it is damaged or not a checkpoint; nothing in it was run.`);
  }

  skip(count: number): void {
    this.#take(count);
  }

  byte(): number {
    return this.uint(1);
  }

  uint(size: 1 | 2 | 4): number {
    const at = this.#take(size);
    if (size === 1) return this.#view.getUint8(at);
    return size === 2 ? this.#view.getUint16(at, true) : this.#view.getUint32(at, true);
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
    if (length > BigInt(this.#bytes.length)) this.refuse('an end in the middle of a value');
    return Number(length);
  }

  /** An integer of any size, in two's complement. */
  long(length: number): number | bigint {
    if (length > LONGEST_NUMBER) this.refuse(`a number of ${length} bytes`);
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
    if (end < 0) this.refuse('an end in the middle of a line');
    if (end - this.#position > longest) this.refuse(`a line of ${end - this.#position} bytes where a short one is due`);
    const text = this.text(end - this.#position);
    this.#position = end + 1;
    return text;
  }

  /** A whole number as text, of protocol 0. The texts 00 and 01 are the booleans. */
  integerLine(): number | bigint | boolean {
    const text = this.line(LONGEST_NUMBER);
    if (!/^[+-]?\d+L?$/.test(text)) this.refuse('a number that is none');
    return text === '00' || text === '01' ? text === '01' : small(BigInt(text.replace(/^\+|L$/g, '')));
  }

  /** A number with a fraction as text, of protocol 0. */
  floatLine(): number {
    return Number(this.line(LONGEST_NUMBER));
  }

  /** Moves past `count` bytes and returns their start. */
  #take(count: number): number {
    const start = this.#position;
    if (count > this.#bytes.length - start) this.refuse('an end in the middle of a value');
    this.#position = start + count;
    return start;
  }
}

/** A whole number as `number` where that is exact. */
function small(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}
