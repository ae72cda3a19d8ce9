/**
 * The rules of a BERT tokenizer as data, for programs that tokenize without a library. What they do not say is the same for all: spaces
 * and punctuation separate words, and a word is the longest pieces of the vocabulary.
 */
import { InputError } from '../base/errors.ts';
import { checkTokenizer, type TokenizerFiles } from './tokenizer-schema.ts';

/** The rules of a tokenizer. The names are those that scripts in Python read. */
export interface WordPieceRules {
  /** Whether control characters are removed. */
  readonly removes_control: boolean;
  /** Whether each Chinese character is a word. */
  readonly splits_ideographs: boolean;
  readonly strips_accents: boolean;
  readonly lowercase: boolean;
  /** The number of characters from which on a word is unknown, less one. */
  readonly longest_word: number;
  /** What pieces inside a word begin with in the vocabulary. */
  readonly prefix: string;
  /** The token of what is in no piece. */
  readonly unknown: number;
  readonly vocabulary: Readonly<Record<string, number>>;
}

/**
 * The rules of a model's tokenizer.
 *
 * @param source names the model in errors
 * @throws InputError if the files describe no tokenizer, or one that these rules do not describe whole
 */
export function wordPieceRules(files: TokenizerFiles, source: string): WordPieceRules {
  const { tokenizer, config } = checkTokenizer(files, source);
  const { normalizer, model, added_tokens: added } = tokenizer;
  // Phrases are read in small letters, in which a name such as [MASK] does not occur.
  const found = added.find(
    ({ content, normalized, special }) => (normalized ?? !special) || content === content.toLowerCase(),
  );
  if (found)
    throw new InputError(
      `${source}: tokenizer.json has the added token ${JSON.stringify(found.content.slice(0, 60))}, which the scripts of a bundle do not look for in phrases; export the model for fixed phrases.`,
    );
  if (config.do_lowercase_and_remove_accent)
    throw new InputError(
      `${source}: tokenizer_config.json has do_lowercase_and_remove_accent, which the scripts of a bundle do not do; export the model for fixed phrases.`,
    );
  const unknown = model.vocab[model.unk_token];
  if (unknown === undefined)
    throw new InputError(
      `${source}: tokenizer.json names ${JSON.stringify(model.unk_token.slice(0, 60))} as the token of unknown words, which its vocabulary does not have.`,
    );
  const lowercase = normalizer?.lowercase ?? false;
  return {
    removes_control: normalizer?.clean_text ?? false,
    splits_ideographs: normalizer?.handle_chinese_chars ?? false,
    strips_accents: normalizer?.strip_accents ?? lowercase,
    lowercase,
    longest_word: model.max_input_chars_per_word,
    prefix: model.continuing_subword_prefix,
    unknown,
    vocabulary: model.vocab,
  };
}
