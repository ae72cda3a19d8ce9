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

test('lists within lists, and aliases that grow, are refused', () => {
  expect(() => parseYaml('['.repeat(100_000))).toThrow('its lists are nested too deep');
  const aliases = Array.from({ length: 30 }, (_, index) => `a${index + 1}: &a${index + 1} [*a${index}, *a${index}]`);
  expect(() => parseYaml(`a0: &a0 x\n${aliases.join('\n')}\n`)).toThrow(/alias/i);
});
