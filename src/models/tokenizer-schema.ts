/**
 * What a BERT tokenizer is made of. `tokenizer.json` may describe any other one, with regular expressions that take time
 * without end on some texts, and a file from a stranger may do so on purpose. The detectors that dino8 knows read text by
 * BERT, so that everything else is refused before anything of it is used.
 */
import { z } from 'zod';
import { parseWith } from '../base/schema.ts';

/** The contents of `tokenizer.json` and `tokenizer_config.json`, as they are. */
export interface TokenizerFiles {
  /** The content of `tokenizer.json`. */
  readonly tokenizer: unknown;
  /** The content of `tokenizer_config.json`. */
  readonly config: unknown;
}

const token = z.string().max(1000);
/** The vocabularies of real tokenizers have up to a few hundred thousand tokens. */
const id = z
  .number()
  .int()
  .min(0)
  .max((1 << 22) - 1);
const flag = z.boolean();

const normalizer = z.strictObject(
  {
    type: z.literal('BertNormalizer'),
    clean_text: flag.default(true),
    handle_chinese_chars: flag.default(true),
    strip_accents: flag.nullable().default(null),
    lowercase: flag.default(true),
  },
  { error: 'it must be a BertNormalizer' },
);

const piece = z.union([
  z.strictObject({ SpecialToken: z.strictObject({ id: token, type_id: id }) }),
  z.strictObject({ Sequence: z.strictObject({ id: z.literal(['A', 'B']), type_id: id }) }),
]);
const template = z.array(piece).max(64);
const named = z.tuple([token, id]);
const postProcessor = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('TemplateProcessing'),
    single: template,
    pair: template.optional(),
    special_tokens: z.record(
      token,
      z.strictObject({ id: token, ids: z.array(id).max(64), tokens: z.array(token).max(64) }),
    ),
  }),
  z.strictObject({ type: z.literal('BertProcessing'), sep: named, cls: named }),
]);

const model = z.strictObject(
  {
    type: z.literal('WordPiece').default('WordPiece'),
    unk_token: token,
    continuing_subword_prefix: token.default('##'),
    // A longer word is one unknown token. The time for a word grows with the square of this.
    max_input_chars_per_word: z.number().int().min(1).max(1000).default(100),
    vocab: z.record(z.string(), id),
  },
  { error: 'it must be a WordPiece model' },
);

const tokenizerSchema = z.strictObject({
  version: z.string().nullish(),
  // These two shorten and fill up batches, which dino8 does itself.
  truncation: z.unknown().optional(),
  padding: z.unknown().optional(),
  added_tokens: z
    .array(
      z.strictObject({
        id,
        content: token,
        single_word: flag.default(false),
        lstrip: flag.default(false),
        rstrip: flag.default(false),
        normalized: flag.optional(),
        special: flag.default(false),
      }),
    )
    .max(1 << 16)
    .default([]),
  normalizer: normalizer.nullish(),
  pre_tokenizer: z.strictObject({ type: z.literal('BertPreTokenizer') }, { error: 'it must be a BertPreTokenizer' }),
  post_processor: postProcessor.nullish(),
  // Turns ids into text, which no command does.
  decoder: z.looseObject({ type: z.literal('WordPiece') }).nullish(),
  model,
});

/** The fields that the tokenizer's library reads; all others say how Python makes the tokenizer. */
const configSchema = z.looseObject({
  additional_special_tokens: z
    .array(z.union([token, z.looseObject({ content: token })]))
    .max(1 << 16)
    .nullish(),
  remove_space: flag.nullish(),
  clean_up_tokenization_spaces: flag.nullish(),
  do_lowercase_and_remove_accent: flag.nullish(),
});

/** The deepest nesting of lists and objects in the two files. */
const DEEPEST = 32;

const isShallow = (value: unknown, most = DEEPEST): boolean =>
  typeof value !== 'object' ||
  value === null ||
  (most > 0 && Object.values(value).every((part) => isShallow(part, most - 1)));
const shallow = z.unknown().refine((value) => isShallow(value), {
  error: `lists and objects are nested more than ${DEEPEST} deep`,
});

/** The contents of the two files, checked. */
export interface CheckedTokenizer extends TokenizerFiles {
  readonly tokenizer: z.infer<typeof tokenizerSchema>;
  readonly config: z.infer<typeof configSchema>;
}

/**
 * Checks the files of a tokenizer and returns them.
 * @param source names the model in errors
 * @throws InputError, which names the first field that a BERT tokenizer does not have
 */
export function checkTokenizer({ tokenizer, config }: TokenizerFiles, source: string): CheckedTokenizer {
  return {
    tokenizer: parseWith(shallow.pipe(tokenizerSchema), tokenizer, `${source}: tokenizer.json`),
    config: parseWith(shallow.pipe(configSchema), config, `${source}: tokenizer_config.json`),
  };
}
