/** Phrases as people write them, on command lines, in files and as names of categories. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { cleanName, listPhrases, splitPhrases } from './phrases.ts';
import { readPhrases } from './read-phrases.ts';

describe('a text', () => {
  test.each([
    ['red circle . blue square .', ['red circle', 'blue square']],
    ['a cat. a dog.', ['a cat', 'a dog']],
    ['red circle, blue square;star\ncross\r\nring', ['red circle', 'blue square', 'star', 'cross', 'ring']],
    ['yellow circle,,white triangle;', ['yellow circle', 'white triangle']],
    ['黄色圆形，白色三角形、猫。狗；鸟', ['黄色圆形', '白色三角形', '猫', '狗', '鸟']],
    ['who? yellow circle', ['who', 'yellow circle']],
    ['cat.dog', ['cat', 'dog']],
    ['St. Bernard, Mr. Bean. cat', ['St. Bernard', 'Mr. Bean', 'cat']],
    ['st. cat.', ['st. cat']],
    ['1.5 liter bottle, 3.5 inch floppy', ['1.5 liter bottle', '3.5 inch floppy']],
    ['class 1. class 2.', ['class 1', 'class 2']],
    ['"hat, red", "U.S. flag" ; cat', ['hat, red', 'U.S. flag', 'cat']],
    ['“hat. red”', ['hat. red']],
    ['"say ""hi"", cat", dog', ['say "hi", cat', 'dog']],
    ['12" monitor, cat', ['12" monitor', 'cat']],
    ['"stop" sign, cat', ['"stop" sign', 'cat']],
    ["person's hat, C++ logo, #1", ["person's hat", 'C++ logo', '#1']],
    [' , . ', []],
  ])('%j', (text, phrases) => {
    expect(splitPhrases(text)).toEqual(phrases);
  });

  test('a quotation mark that is not closed is an error', () => {
    expect(() => splitPhrases('cat, "hat, red')).toThrow(UsageError);
  });

  test('a phrase in quotation marks comes back whatever it is', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 }), { maxLength: 5 }), (phrases) => {
        const named = phrases.map((phrase) => phrase.replace(/["“”]/g, '').trim()).filter(Boolean);
        expect(splitPhrases(named.map((phrase) => `"${phrase}"`).join(','))).toEqual(named);
      }),
    );
  });

  test('a long text is split in time', () => {
    expect(splitPhrases('"'.repeat(200_000)).length).toBeLessThan(2);
    expect(splitPhrases('st. x '.repeat(100_000)).length).toBe(1);
  });
});

describe('a list', () => {
  test('an item is one phrase, and the punctuation at its end is no part of it', () => {
    expect(listPhrases(['yellow circle.', ' St. Bernard ', '1.5 liter bottle']).map(({ name }) => name)).toEqual([
      'yellow circle',
      'St. Bernard',
      '1.5 liter bottle',
    ]);
  });

  test.each(['cat. dog', 'yellow circle. white triangle.', 'cat.dog', 'who? cat', 'cat; dog', 'cat\ndog', '猫。狗'])(
    '%j is several phrases, which is an error',
    (item) => {
      expect(() => listPhrases([item])).toThrow(/\{ exact: /);
      expect(listPhrases([{ exact: item }]).map(({ name }) => name)).toEqual([item]);
    },
  );

  test('a comma inside may be part of a name, so there is a warning only', () => {
    const [phrase] = listPhrases(['hat, red']);
    expect(phrase?.name).toBe('hat, red');
    expect(phrase?.warning).toMatch(/comma/);
    expect(listPhrases([{ exact: 'hat, red' }])[0]?.warning).toBeUndefined();
  });
});

describe('a file', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dino8-phrases-'));
  });
  const read = async (name: string, content: string | Uint8Array) => {
    await writeFile(join(folder, name), content);
    return (await readPhrases(join(folder, name))).map(({ exact }) => exact);
  };

  test('has one phrase on each line', async () => {
    expect(await read('lines.txt', '\uFEFFSt. Bernard\r\n\r\nhat, red\n  #1 sign\n')).toEqual([
      'St. Bernard',
      'hat, red',
      '  #1 sign',
    ]);
  });

  test('or a list in JSON', async () => {
    expect(await read('list.json', ' ["St. Bernard", "hat, red"]\n')).toEqual(['St. Bernard', 'hat, red']);
    expect(await read('list.txt', '["cat"]')).toEqual(['cat']);
    expect(await read('brackets.txt', '[red] cat\ndog')).toEqual(['[red] cat', 'dog']);
  });

  test.each([
    ['empty.txt', '\n \n', UsageError],
    ['object.json', '{"phrases": []}', InputError],
    ['numbers.json', '[1, 2]', InputError],
    ['broken.json', '["cat"', InputError],
    ['binary.txt', new Uint8Array([0xff, 0xfe, 0x00]), InputError],
    ['large.txt', 'x'.repeat((1 << 22) + 1), InputError],
  ])('%s is refused in one sentence that names it', async (name, content, kind) => {
    const failure = await read(name, content).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(kind);
    expect(String(failure)).toContain(name);
    expect(String(failure)).not.toContain('\n');
  });
});

test('names of LVIS are cleaned as GLIP and mmdetection clean them', () => {
  // re.sub(r'\(.*\)', '', name), then "_" by " ", as in mmdet/datasets; dino8 also trims.
  expect(
    [
      'traffic_light',
      'crow_(bird)',
      'aerosol_can',
      'Band_Aid',
      'cigar box',
      'bow_(decorative_ribbons)',
      '_',
      '(x)',
    ].map(cleanName),
  ).toEqual(['traffic light', 'crow', 'aerosol can', 'Band Aid', 'cigar box', 'bow', '_', '(x)']);
});
