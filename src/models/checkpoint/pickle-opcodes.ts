/**
 * What each opcode of a pickle does (https://github.com/python/cpython/blob/main/Lib/pickletools.py), with Python's names for
 * them.
 */
import type { PickleMachine } from './pickle-machine.ts';
import { PickleGlobal } from './pickle-values.ts';

/** The opcode at the end of a pickle, whose value is on top of the stack then. */
export const STOP = 0x2e;

/** The action of each opcode, by its byte. */
export const OPCODES: Readonly<Record<number, (machine: PickleMachine) => void>> = {
  /* PROTO */ 128: (m) => m.protocol(),
  /* FRAME */ 149: (m) => m.input.skip(8),
  /* MARK */ 40: (m) => m.mark(),
  /* POP */ 48: (m) => m.drop(),
  /* POP_MARK */ 49: (m) => m.popToMark(),
  /* DUP */ 50: (m) => m.duplicate(),
  /* NONE */ 78: (m) => m.push(null),
  /* NEWTRUE */ 136: (m) => m.push(true),
  /* NEWFALSE */ 137: (m) => m.push(false),
  /* BININT1 */ 75: (m) => m.push(m.input.uint(1)),
  /* BININT2 */ 77: (m) => m.push(m.input.uint(2)),
  /* BININT */ 74: (m) => m.push(m.input.int32()),
  /* LONG1 */ 138: (m) => m.push(m.input.long(m.input.uint(1))),
  /* LONG4 */ 139: (m) => m.push(m.input.long(m.input.uint(4))),
  /* INT */ 73: (m) => m.push(m.input.integerLine()),
  /* LONG */ 76: (m) => m.push(m.input.integerLine()),
  /* FLOAT */ 70: (m) => m.push(m.input.floatLine()),
  /* BINFLOAT */ 71: (m) => m.push(m.input.float64()),
  /* STRING */ 83: (m) => m.push(m.input.line().replace(/^(['"])(.*)\1$/s, '$2')),
  /* BINSTRING */ 84: (m) => m.push(m.input.text(m.input.uint(4))),
  /* SHORT_BINSTRING */ 85: (m) => m.push(m.input.text(m.input.uint(1))),
  /* UNICODE */ 86: (m) => m.push(m.input.line()),
  /* BINUNICODE */ 88: (m) => m.push(m.input.text(m.input.uint(4))),
  /* SHORT_BINUNICODE */ 140: (m) => m.push(m.input.text(m.input.uint(1))),
  /* BINUNICODE8 */ 141: (m) => m.push(m.input.text(m.input.length64())),
  /* BINBYTES */ 66: (m) => m.create(m.input.bytes(m.input.uint(4))),
  /* SHORT_BINBYTES */ 67: (m) => m.create(m.input.bytes(m.input.uint(1))),
  /* BINBYTES8 */ 142: (m) => m.create(m.input.bytes(m.input.length64())),
  /* BYTEARRAY8 */ 150: (m) => m.create(m.input.bytes(m.input.length64())),
  /* NEXT_BUFFER */ 151: (m) => m.input.refuse('data that is kept outside of the file'),
  /* READONLY_BUFFER */ 152: (m) => m.input.refuse('data that is kept outside of the file'),
  /* EMPTY_LIST */ 93: (m) => m.create([]),
  /* EMPTY_TUPLE */ 41: (m) => m.create([]),
  /* EMPTY_SET */ 143: (m) => m.create([]),
  /* EMPTY_DICT */ 125: (m) => m.create(new Map()),
  /* DICT */ 100: (m) => m.dictionaryOfMark(),
  /* LIST */ 108: (m) => m.create(m.popToMark()),
  /* TUPLE */ 116: (m) => m.create(m.popToMark()),
  /* FROZENSET */ 145: (m) => m.create(m.popToMark()),
  /* TUPLE1 */ 133: (m) => m.tuple(1),
  /* TUPLE2 */ 134: (m) => m.tuple(2),
  /* TUPLE3 */ 135: (m) => m.tuple(3),
  /* APPEND */ 97: (m) => m.append([m.pop()]),
  /* APPENDS */ 101: (m) => m.append(m.popToMark()),
  /* ADDITEMS */ 144: (m) => m.append(m.popToMark()),
  /* SETITEM */ 115: (m) => m.setItem(),
  /* SETITEMS */ 117: (m) => m.setItems(m.popToMark()),
  /* PUT */ 112: (m) => m.remember(m.memoIndexLine()),
  /* BINPUT */ 113: (m) => m.remember(m.input.uint(1)),
  /* LONG_BINPUT */ 114: (m) => m.remember(m.input.uint(4)),
  /* MEMOIZE */ 148: (m) => m.memoize(),
  /* GET */ 103: (m) => m.recall(m.memoIndexLine()),
  /* BINGET */ 104: (m) => m.recall(m.input.uint(1)),
  /* LONG_BINGET */ 106: (m) => m.recall(m.input.uint(4)),
  /* GLOBAL */ 99: (m) => m.create(m.globalOfLines()),
  /* STACK_GLOBAL */ 147: (m) => m.create(m.globalOfStack()),
  /* EXT1 */ 130: (m) => m.create(new PickleGlobal(`extension code ${m.input.uint(1)}`)),
  /* EXT2 */ 131: (m) => m.create(new PickleGlobal(`extension code ${m.input.uint(2)}`)),
  /* EXT4 */ 132: (m) => m.create(new PickleGlobal(`extension code ${m.input.uint(4)}`)),
  /* REDUCE */ 82: (m) => m.callOfStack(),
  /* NEWOBJ */ 129: (m) => m.callOfStack(),
  /* NEWOBJ_EX */ 146: (m) => {
    m.pop(); // arguments by name, which no object of a checkpoint's tensors has
    m.callOfStack();
  },
  /* INST */ 105: (m) => m.call(m.globalOfLines(), m.popToMark()),
  /* OBJ */ 111: (m) => m.callOfMark(),
  /* PERSID */ 80: (m) => m.named(m.input.line()),
  /* BINPERSID */ 81: (m) => m.named(m.pop()),
  /* BUILD */ 98: (m) => m.build(),
};
