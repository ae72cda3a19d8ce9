/** Tokenizers of BERT are taken; anything that could run a regular expression of the file is refused. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { createTokenizer } from './tokenizer.ts';

let bundled: Record<string, unknown>;
let config: Record<string, unknown>;
beforeAll(async () => {
  const read = async (name: string) => JSON.parse(await readFile(join(packageRoot, 'assets/nano', name), 'utf8'));
  [bundled, config] = [await read('tokenizer.json'), await read('tokenizer_config.json')];
});

const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
const REPLACE = { type: 'Replace', pattern: { Regex: '([a-z ]+)+!' }, content: 'x' };

test.each<[string, () => { tokenizer?: object; config?: object }]>([
  ['normalizer', () => ({ tokenizer: { normalizer: REPLACE } })],
  ['normalizer', () => ({ tokenizer: { normalizer: { type: 'Sequence', normalizers: [REPLACE] } } })],
  ['pre_tokenizer', () => ({ tokenizer: { pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+b' } } } })],
  ['post_processor', () => ({ tokenizer: { post_processor: { type: 'Sequence', processors: [] } } })],
  [
    'post_processor.single',
    () => ({ tokenizer: { post_processor: { ...Object(bundled.post_processor), single: false } } }),
  ],
  ['model', () => ({ tokenizer: { model: { type: 'BPE', vocab: {}, merges: [] } } })],
  ['model.vocab.a', () => ({ tokenizer: { model: { ...Object(bundled.model), vocab: { a: 2 ** 31 } } } })],
  ['nested', () => ({ tokenizer: { decoder: { type: 'WordPiece', more: nested(5000) } } })],
  ['nested', () => ({ config: { more: nested(5000) } })],
])('another %s is refused in one sentence', (where, change) => {
  const files = { tokenizer: { ...bundled, ...change().tokenizer }, config: { ...config, ...change().config } };
  const create = () => createTokenizer(files, 'm.onnx');
  expect(create).toThrow(InputError);
  expect(create).toThrow(new RegExp(`^m\\.onnx: tokenizer.*\\.json is not as expected.*${where}.*\\.$`));
});

test('the older forms of a tokenizer of BERT are taken', () => {
  const { type: _, ...model } = Object(bundled.model);
  const old = {
    ...bundled,
    model,
    post_processor: { type: 'BertProcessing', sep: ['[SEP]', 102], cls: ['[CLS]', 101] },
    decoder: null,
  };
  const text = 'a red circle. a person.';
  const ids = createTokenizer({ tokenizer: bundled, config }, 'new').encodeWhole(text);
  expect(ids.length).toBeGreaterThan(6);
  expect(createTokenizer({ tokenizer: old, config }, 'old').encodeWhole(text)).toEqual(ids);
});
