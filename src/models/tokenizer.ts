/** Text → token ids, by the model's own tokenizer. */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { InputError, messageOf } from '../base/errors.ts';
import type { TokenizerFiles } from './package/package.ts';

export interface Tokenizer {
  /** The ids of a text, without special tokens around them. */
  encode(text: string): number[];
  /** The ids of a text as the model was trained on it, [CLS] and [SEP] included. */
  encodeWhole(text: string): number[];
}

/** @throws InputError if the files do not describe a tokenizer */
export function createTokenizer(files: TokenizerFiles, source: string): Tokenizer {
  try {
    // The library checks the two objects itself; its types are those of the parsed files.
    const tokenizer = new HuggingFaceTokenizer(files.tokenizer as object, files.config as object);
    return {
      encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids,
      encodeWhole: (text) => tokenizer.encode(text).ids,
    };
  } catch (error) {
    throw new InputError(`${source}: tokenizer.json does not describe a tokenizer (${messageOf(error)}).`);
  }
}
