/** YAML of strangers is data: it prints nothing, and neither depth nor aliases cost more than the file's size. */
import { expect, test, vi } from 'vitest';
import { parseYaml } from './yaml.ts';

test.each(['&b;: dog', '? []\n: 1', '*a: 2\n'])('%j is read or refused without a warning on the terminal', (text) => {
  const warned = vi.spyOn(process, 'emitWarning');
  try {
    parseYaml(text);
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
  }
  expect(warned).not.toHaveBeenCalled();
});

// A text that exhausts the stack is refused, or ends the process: V8 gives up if it has to compile an expression there.
test.each(['[', '{', '- ', '? ', '{a: ', '[? ', '- [', '- ? ', 'a: [', '&a - ', '[{'])(
  'lists and maps in each other by %j are refused before they are built',
  (opening) => {
    expect(() => parseYaml(opening.repeat(1000))).toThrow('its lists are nested too deep');
  },
);

test('maps in each other by their indentation are refused before they are built', () => {
  const lines = Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}a:\n`);
  expect(() => parseYaml(lines.join(''))).toThrow('its lists are nested too deep');
  expect(parseYaml(lines.slice(0, 100).join(''))).toMatchObject({ a: { a: { a: {} } } });
});

test.each(['{}', "'a' ", '*a ', '&a *a '])(
  'a line of many errors such as %j is refused with the first of them',
  (error) => {
    // As pretty errors, each of which repeats the line, many take minutes and gigabytes.
    expect(() => parseYaml(error.repeat(20_000))).toThrow(/ at line 1, column \d+$|more than 100 aliases/);
  },
);

test('more words and signs than any file for dino8 has are refused, and 5,000 names of classes are read', () => {
  const names = Array.from({ length: 5000 }, (_, index) => `  ${index}: class ${index}\n`);
  expect(parseYaml(`names:\n${names.join('')}`)).toMatchObject({ names: { 4999: 'class 4999' } });
  expect(() => parseYaml(`[${'a,'.repeat(1_000_000)}]`)).toThrow(/more than 400000 words and signs/);
});

test('aliases that grow, and many of them, are refused', () => {
  expect(() => parseYaml(`- &a a\n${'- *a\n'.repeat(10_000)}`)).toThrow(/more than 100 aliases/);
  const aliases = Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}, *a${index}]`);
  expect(() => parseYaml(`a0: &a0 x\n${aliases.join('\n')}\n`)).toThrow(/alias/i);
});
