// What is wrong with an exception that a user's program would get.
import { Dino8Error } from '../../dist/index.mjs';
import { RuntimeError } from '../../dist/runtime.mjs';
import { TooLarge } from './kinds.mjs';

/** Texts of JavaScript and of Node.js that mean nothing to a user. */
const RAW =
  /Cannot (?:read|set|destructure) propert|Cannot (?:access|convert|mix|perform)|is not a (?:function|constructor)|is not iterable|\bundefined\b|\[object |Invalid array length|Maximum call stack|Invalid typed array|[Oo]ut of bounds|Invalid string length|[Oo]ffset is out|The value of "|Array buffer allocation|The argument|The "\w+" argument|TypeError|RangeError/;
/** Characters that move the cursor or change what is shown. */
const HIDDEN = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]|\p{Cs}/u;
/** The longest message, in characters. */
const LONGEST = 10_000;

/** Returns what is wrong with an exception; undefined if it is as it should be. */
export function faultOf(error) {
  if (error instanceof TooLarge) return undefined;
  if (!(error instanceof Dino8Error)) return `untyped: ${error?.stack ?? error}`;
  return faultOfText(error.message, error instanceof RuntimeError);
}

/** Returns what is wrong with a message. The words of ONNX Runtime are quoted, and are not ours. */
export function faultOfText(message, isQuoted = false) {
  const hidden = HIDDEN.exec(message);
  if (hidden) return `a hidden character in: ${JSON.stringify(message.slice(0, 2000))}`;
  if (message.length > LONGEST) return `a message of ${message.length} characters: ${message.slice(0, 200)}…`;
  if (!isQuoted && RAW.test(message)) return `raw text: ${message}`;
  if (!/[.…)!?]$/.test(message)) return `no sentence: ${message}`;
  return undefined;
}
