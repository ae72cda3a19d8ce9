/** The line of progress names each piece of work when it begins, and estimates the time that is left from its own start. */
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { drawProgress } from './progress-line.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

test('work that is done again is timed anew, and not from when it was done first', () => {
  const stream = new PassThrough();
  const draw = drawProgress(stream as unknown as NodeJS.WriteStream); // it is only written to
  const score = (seconds: number) => {
    draw({ label: 'Scoring', done: 0, total: 16 });
    vi.advanceTimersByTime(1000 * seconds);
    draw({ label: 'Scoring', done: 16, total: 16 });
  };
  score(2);
  vi.advanceTimersByTime(60_000);
  score(3);
  const lines = String(stream.read()).trimEnd().split('\n');
  expect(lines.map((line) => line.replace(/^.* /, ''))).toEqual(['0/16', '2s', '0/16', '3s']);
});
