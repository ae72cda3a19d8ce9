// Changes files: bytes, and the structures that files have: the tree of a JSON text, the fields of a protocol buffer, the
// entries of a ZIP archive, the words of a text. All choices come from a generator, so that a case is known by its numbers.
import { crc32, inflateRawSync } from 'node:zlib';

/** Returns a generator of whole numbers below a given one (SplitMix32). */
export function generator(seed, number) {
  let state = Math.imul(seed ^ 0x5bd1e995, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b);
  return (below) => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) % below;
  };
}

const oneOf = (random, items) => items[random(items.length)];

/** Numbers at which programs that count fail. */
const BOUNDARIES = [
  0n,
  1n,
  2n,
  127n,
  128n,
  255n,
  256n,
  32767n,
  32768n,
  65535n,
  65536n,
  0x7fffffffn,
  0x80000000n,
].concat([0xffffffffn, 0x100000000n, (1n << 53n) - 1n, 1n << 53n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n]);

/** Values that a field of a JSON text may have and a program may not expect. `DEEP` becomes brackets within brackets. */
const DEEP = '\u0001deep\u0001';
const VALUES = [null, true, false, 0, -1, 1, 2, 3, 0.5, 1e-320, 1e308, -1e308, 2 ** 31, 2 ** 32, 2 ** 53, 1e21, '', ' ']
  .concat([
    'NaN',
    'Infinity',
    '-1',
    '0',
    '1e999',
    'x'.repeat(70_000),
    '\u001b[31mred',
    '\u202eabc',
    'a\nb',
    'a\0b',
    '\ud800',
  ])
  .concat([
    '..',
    '../../../../etc/passwd',
    '/dev/zero',
    'C:\\con',
    '**/**/**',
    '(a+)+$',
    '__proto__',
    'constructor',
    '😀',
  ])
  .concat([[], {}, [[]], [null], [0, 0, 0, 0], { a: 1 }, DEEP]);
const KEYS = ['__proto__', 'constructor', 'toString', '', '0', '-1', 'x'.repeat(5000), '\u001b[31m', 'a\nb', '\u202e'];

/** Words of texts that are no JSON. */
const WORDS = [
  '-1',
  '0',
  '1e308',
  '-1e400',
  '.nan',
  'NaN',
  'null',
  '~',
  '""',
  '[]',
  '{}',
  '99999999999999999999',
  '1_000',
]
  .concat([
    '"\\u001b[31m"',
    '__proto__',
    'true',
    '\n',
    '\u202e',
    '&a',
    '*a',
    '<<',
    '!!js/function',
    '|',
    '- ',
    ': ',
    '%',
    '?',
  ])
  .concat([
    '<!DOCTYPE a [<!ENTITY b "c">]>',
    '&b;',
    '</object>',
    '../..',
    '/etc/passwd',
    '**',
    '\t',
    '\0',
    'é',
    ',',
    ';',
  ]);

/** Changes bytes. `other` is another file, of which a piece may be taken. */
export function mutateBytes(bytes, random, other) {
  let copy = Buffer.from(bytes);
  for (let times = 1 + random(3); times > 0 && copy.length > 0; times--) copy = mutateOnce(copy, random, other);
  return copy;
}

function mutateOnce(copy, random, other) {
  const at = random(copy.length);
  const length = 1 + random(Math.min(64, copy.length));
  const start = copy.subarray(0, at);
  switch (random(11)) {
    case 0:
      copy[at] = random(256);
      return copy;
    case 1:
      copy[at] ^= 1 << random(8);
      return copy;
    case 2:
      return start;
    case 3:
      return Buffer.concat([start, Buffer.alloc(length, random(256)), copy.subarray(at)]);
    case 4: // a range occurs twice
      return Buffer.concat([copy.subarray(0, at + length), copy.subarray(at)]);
    case 5:
      return Buffer.concat([start, copy.subarray(at + length)]);
    case 6:
      return copy.fill(oneOf(random, [0, 0xff, 0x80]), at, Math.min(at + 1 + random(8), copy.length));
    case 7: // the end of another file
      return Buffer.concat([start, other.subarray(random(other.length + 1))]);
    case 8: {
      // a piece of another file
      const from = random(other.length + 1);
      return Buffer.concat([start, other.subarray(from, from + length), copy.subarray(at + length)]);
    }
    case 9:
      return writeBoundary(copy, at, random);
    default:
      return mutateWord(copy, at, random);
  }
}

/** Writes a number at which programs fail, in one of the forms in which files have lengths. */
function writeBoundary(copy, at, random) {
  const number = oneOf(random, BOUNDARIES);
  const width = oneOf(random, [1, 2, 4, 8]);
  const bytes = Buffer.alloc(8);
  const isLittle = random(2) === 0;
  if (isLittle) bytes.writeBigUInt64LE(number);
  else bytes.writeBigUInt64BE(number);
  (isLittle ? bytes.subarray(0, width) : bytes.subarray(8 - width)).copy(copy, at);
  return copy;
}

function mutateWord(copy, at, random) {
  const text = copy.toString('latin1', at, at + 400);
  const words = [...text.matchAll(/"[^"]*"|-?\d[\d.]*|\w+/g)];
  if (words.length === 0) return copy;
  const word = words[random(words.length)];
  const start = at + word.index;
  const end = copy.subarray(start + word[0].length);
  return Buffer.concat([copy.subarray(0, start), Buffer.from(oneOf(random, WORDS)), end]);
}

/** Changes a text that is no JSON: its words, its lines, and its bytes. */
export function mutateText(bytes, random, other) {
  if (random(3) === 0) return mutateBytes(bytes, random, other);
  let copy = Buffer.from(bytes);
  for (let times = 1 + random(3); times > 0 && copy.length > 0; times--) {
    if (random(3) > 0) {
      copy = mutateWord(copy, random(copy.length), random);
      continue;
    }
    const lines = copy.toString('latin1').split('\n');
    const line = random(lines.length);
    if (random(2) === 0) lines.splice(line, random(2), lines[random(lines.length)]);
    else lines[line] = `${' '.repeat(random(4))}${lines[line]}`;
    copy = Buffer.from(lines.join('\n'), 'latin1');
  }
  return copy;
}

/** Changes the tree of a JSON text, and sometimes its bytes. */
export function mutateJson(bytes, random, other) {
  if (random(4) === 0) return mutateBytes(bytes, random, other);
  const root = { root: JSON.parse(bytes) };
  const donor = random(4) === 0 ? JSON.parse(other) : root.root;
  for (let times = 1 + random(3); times > 0; times--) mutateTree(root, donor, random);
  const text = JSON.stringify(root.root) ?? '';
  const depth = oneOf(random, [100, 3000, 20_000]);
  return Buffer.from(text.replace(JSON.stringify(DEEP), '['.repeat(depth) + ']'.repeat(depth)));
}

/** A random place in a tree: its parent and its key there. Small and large branches are found equally often. */
function placeIn(root, random) {
  let [parent, key] = [root, Object.keys(root)[0]];
  for (;;) {
    const value = parent[key];
    const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
    if (keys.length === 0 || random(5) === 0) return [parent, key];
    [parent, key] = [value, keys[random(keys.length)]];
  }
}

const define = (object, key, value) =>
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });

function mutateTree(root, donor, random) {
  const [parent, key] = placeIn(root, random);
  const value = parent[key];
  switch (random(7)) {
    case 0:
      if (Array.isArray(parent)) parent.splice(Number(key), 1);
      else delete parent[key];
      break;
    case 1:
      if (Array.isArray(parent)) for (let copies = oneOf(random, [1, 2, 300]); copies > 0; copies--) parent.push(value);
      else define(parent, oneOf(random, KEYS), value);
      break;
    case 2: {
      const [from, name] = placeIn({ root: donor }, random);
      define(parent, key, structuredClone(from[name]));
      break;
    }
    case 3:
      define(
        parent,
        key,
        typeof value === 'string' ? oneOf(random, [`${value} `, value.toUpperCase(), [value]]) : [value],
      );
      break;
    case 4:
      define(
        parent,
        key,
        typeof value === 'number' ? oneOf(random, [-value, value + 1, value * 1e9, value / 3]) : value,
      );
      break;
    default:
      define(parent, key, structuredClone(oneOf(random, VALUES)));
  }
}

/** Changes the fields of a protocol buffer, with the lengths around them right, and sometimes its bytes. */
export function mutateProtobuf(bytes, random, other) {
  if (random(3) === 0) return mutateBytes(bytes, random, other);
  const fields = parseFields(bytes, 0) ?? [];
  const donor = random(4) === 0 ? (parseFields(other, 0) ?? fields) : fields;
  for (let times = 1 + random(3); times > 0 && fields.length > 0; times--) mutateFields(fields, donor, random);
  return Buffer.concat(encodeFields(fields));
}

const [VARINT, FIXED64, LENGTH, FIXED32] = [0, 1, 2, 5];
const DEEPEST = 10;

/** The fields of a message, those of messages in it included as far as bytes can be read as a message; undefined if they are none. */
function parseFields(bytes, depth) {
  const fields = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    if (!tag || tag.value >> 3n === 0n || tag.value > 1n << 32n) return undefined;
    const [number, wire] = [tag.value >> 3n, Number(tag.value & 7n)];
    at = tag.end;
    if (wire === VARINT) {
      const read = readVarint(bytes, at);
      if (!read) return undefined;
      fields.push({ number, wire, value: read.value });
      at = read.end;
      continue;
    }
    const length = wire === LENGTH ? readVarint(bytes, at) : { value: wire === FIXED64 ? 8n : 4n, end: at };
    if (![FIXED64, LENGTH, FIXED32].includes(wire) || !length || length.value > BigInt(bytes.length - length.end))
      return undefined;
    const content = bytes.subarray(length.end, length.end + Number(length.value));
    const inner =
      wire === LENGTH && content.length > 1 && depth < DEEPEST ? parseFields(content, depth + 1) : undefined;
    fields.push({ number, wire, content, fields: inner });
    at = length.end + content.length;
  }
  return fields;
}

function readVarint(bytes, start) {
  let value = 0n;
  for (let at = start; at < bytes.length && at < start + 10; at++) {
    value |= BigInt(bytes[at] & 127) << BigInt(7 * (at - start));
    if (bytes[at] < 128) return { value, end: at + 1 };
  }
  return undefined;
}

function varint(value) {
  const bytes = [];
  let left = BigInt.asUintN(64, value);
  for (; left > 127n; left >>= 7n) bytes.push(Number(left & 127n) | 128);
  return Buffer.from([...bytes, Number(left)]);
}

const encodeFields = (fields) =>
  fields.flatMap(({ number, wire, value, content, fields: inner }) => {
    const tag = varint((number << 3n) | BigInt(wire));
    if (wire === VARINT) return [tag, varint(value)];
    const encoded = inner ? Buffer.concat(encodeFields(inner)) : content;
    return wire === LENGTH ? [tag, varint(BigInt(encoded.length)), encoded] : [tag, encoded];
  });

/** A list of fields, of the message itself or of one in it. */
function someFields(fields, random) {
  let list = fields;
  for (;;) {
    const inner = list.filter((field) => field.fields?.length > 0);
    if (inner.length === 0 || random(5) === 0) return list;
    list = oneOf(random, inner).fields;
  }
}

function mutateFields(fields, donor, random) {
  const list = someFields(fields, random);
  const at = random(list.length);
  const field = list[at];
  switch (random(8)) {
    case 0:
      list.splice(at, 1);
      break;
    case 1:
      for (let copies = oneOf(random, [1, 2, 200]); copies > 0; copies--) list.splice(at, 0, field);
      break;
    case 2: {
      const from = someFields(donor, random);
      // A copy, since the field may hold the list.
      if (from.length > 0) list.splice(at, random(2), structuredClone(oneOf(random, from)));
      break;
    }
    case 3: // a field is put into one beside it
      if (field.fields) list[at] = { ...field, fields: [...field.fields, ...structuredClone(list.slice(0, 20))] };
      break;
    case 4:
      list[at] = { ...field, number: BigInt(1 + random(30)) };
      break;
    default:
      list[at] = mutateField(field, list, random);
  }
}

function mutateField(field, list, random) {
  if (field.wire === VARINT)
    return {
      ...field,
      value: random(3) === 0 ? BigInt.asUintN(64, -oneOf(random, BOUNDARIES)) : oneOf(random, BOUNDARIES),
    };
  const same = list.filter(({ number, wire }) => number === field.number && wire === field.wire);
  const choice = random(4);
  if (choice === 0 && same.length > 0) return oneOf(random, same);
  if (choice === 1 && field.wire === LENGTH)
    return { ...field, fields: undefined, content: Buffer.from(String(oneOf(random, VALUES.slice(16, 36)))) };
  const content = field.fields ? Buffer.concat(encodeFields(field.fields)) : field.content;
  const mutated = content.length > 0 ? mutateOnce(Buffer.from(content), random, content) : content;
  const kept = field.wire === LENGTH ? mutated : Buffer.concat([mutated, Buffer.alloc(8)]).subarray(0, content.length);
  return { ...field, fields: undefined, content: kept };
}

/** Changes the content of an entry of a ZIP archive, whose checksum is then right, and sometimes the bytes of the archive. */
export function mutateZip(bytes, random, other) {
  if (random(3) === 0) return mutateBytes(bytes, random, other);
  const entries = readZip(bytes);
  // The small entries say what the large ones are.
  const small = entries.filter(({ data }) => data.length > 0 && data.length < 1 << 16);
  const entry = oneOf(random, small.length > 0 && random(4) > 0 ? small : entries);
  switch (random(8)) {
    case 0:
      entries.splice(entries.indexOf(entry), 1);
      break;
    case 1:
      entries.push(entry);
      break;
    case 2:
      entry.name = oneOf(random, [
        `${entry.name}x`,
        '../evil',
        entries[0].name,
        String(oneOf(random, KEYS)).slice(0, 100),
      ]);
      break;
    default:
      if (entry.data.length > 0)
        entry.data = mutateBytes(entry.data, random, oneOf(random, small.length > 0 ? small : entries).data);
  }
  return writeZip(entries);
}

const [LOCAL, CENTRAL, END] = [0x04034b50, 0x02014b50, 0x06054b50];

/** The entries of an archive that is whole. */
function readZip(bytes) {
  const end = bytes.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
  const entries = [];
  for (let at = bytes.readUInt32LE(end + 16); bytes.readUInt32LE(at) === CENTRAL; ) {
    const [method, size, nameLength] = [
      bytes.readUInt16LE(at + 10),
      bytes.readUInt32LE(at + 20),
      bytes.readUInt16LE(at + 28),
    ];
    const others = bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
    const local = bytes.readUInt32LE(at + 42);
    const start = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const stored = bytes.subarray(start, start + size);
    const name = bytes.toString('utf8', at + 46, at + 46 + nameLength);
    entries.push({ name, data: method === 8 ? inflateRawSync(stored) : stored });
    at += 46 + nameLength + others;
  }
  return entries;
}

/** An archive of stored entries. */
export function writeZip(entries) {
  const [files, directory] = [[], []];
  let offset = 0;
  for (const { name, data } of entries) {
    const title = Buffer.from(name);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt32LE(crc32(data), 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(data.length, 18);
    fields.writeUInt16LE(title.length, 22);
    const head = Buffer.alloc(4);
    head.writeUInt32LE(LOCAL);
    files.push(head, fields, title, data);
    const central = Buffer.alloc(46);
    central.writeUInt32LE(CENTRAL);
    central.writeUInt16LE(20, 4);
    fields.copy(central, 6);
    central.writeUInt32LE(offset, 42);
    directory.push(central, title);
    offset += 30 + title.length + data.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(END);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...files, ...directory, end]);
}
