/** From text to token ids, by the model's own tokenizer. */
import { Tokenizer as HuggingFaceTokenizer } from '@huggingface/tokenizers';
import { InputError, messageOf } from '../base/errors.ts';
import { checkTokenizer, type TokenizerFiles } from './tokenizer-schema.ts';

/** A tokenizer of a model. */
export interface Tokenizer {
  /** Returns the ids of a text, without special tokens around them. */
  encode(text: string): number[];
  /** Returns the ids of a text as the model was trained on it, [CLS] and [SEP] included. */
  encodeWhole(text: string): number[];
  /** The id of the token that stands for words that the vocabulary does not have; undefined if there is none. */
  readonly unknown: number | undefined;
}

/**
 * Creates a tokenizer from the files of a model.
 *
 * @param source names the model in errors
 * @throws InputError if the files do not describe a tokenizer; the tokenizer's own functions throw it too, for faults that
 * show only when a text is encoded
 */
export function createTokenizer(files: TokenizerFiles, source: string): Tokenizer {
  const checked = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      const reason = messageOf(error).replace(/\s+/g, ' ');
      throw new InputError(`${source}: tokenizer.json does not describe a tokenizer (${reason}).`);
    }
  };
  const { tokenizer: description, config } = checkTokenizer(files, source);
  const tokenizer = checked(() => new HuggingFaceTokenizer(description, config));
  return {
    encode: (text) => checked(() => tokenizer.encode(text, { add_special_tokens: false }).ids),
    unknown: tokenizer.model?.unk_token_id,
    encodeWhole: (text) => checked(() => tokenizer.encode(text).ids),
  };
}
