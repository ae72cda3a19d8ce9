/** What the commands share: progress on the terminal, tables, and numbers written for people. */
import Table from 'cli-table3';
import { UsageError } from '../base/errors.ts';
import type { OnProgress, Progress, WorkOptions } from '../base/progress.ts';
import { interruption } from './interruption.ts';

const REDRAW_EVERY = 100;
const LOG_EVERY = 10_000;

/** Draws progress with an estimate of what remains: one line that changes on a terminal, a line now and then elsewhere. */
export function drawProgress(stream: NodeJS.WriteStream = process.stderr): OnProgress {
  let label = '';
  let started = 0;
  let drawn = 0;
  return (progress: Progress) => {
    const now = performance.now();
    if (progress.label !== label) {
      label = progress.label;
      started = now;
      drawn = Number.NEGATIVE_INFINITY;
    }
    const isLast = progress.done >= progress.total;
    if (!isLast && now - drawn < (stream.isTTY ? REDRAW_EVERY : LOG_EVERY)) return;
    drawn = now;
    const line = describeProgress(progress, (now - started) / 1000);
    stream.write(stream.isTTY ? `\r\x1b[2K${line}${isLast ? '\n' : ''}` : `${line}\n`);
  };
}

function describeProgress({ label, done, total }: Progress, seconds: number): string {
  const share = total > 0 ? done / total : 1;
  const bar = '█'.repeat(Math.round(share * 20)).padEnd(20, '░');
  const remaining = done > 0 && done < total ? `, ${duration((seconds / done) * (total - done))} left` : '';
  const spent = done >= total ? `, ${duration(seconds)}` : '';
  return `${label.padEnd(24)} ${bar} ${done}/${total}${remaining}${spent}`;
}

/** Progress and interruption for a library call. */
export function work(): WorkOptions {
  return { onProgress: drawProgress(), signal: interruption() };
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
export const milliseconds = (seconds: number): string => `${(seconds * 1000).toFixed(1)} ms`;
/** An average precision in COCO's points. */
export const points = (value: number): string => (value < 0 ? '–' : (value * 100).toFixed(2));
export const signed = (value: number, digits = 2): string =>
  `${value >= 0 ? '+' : '−'}${Math.abs(value).toFixed(digits)}`;

/** A table; the first row is the heading. All columns but the first are numbers, which are right-aligned, if not said. */
export function table(
  heading: readonly string[],
  rows: readonly (readonly string[])[],
  alignments: readonly ('left' | 'right')[] = heading.map((_, index) => (index === 0 ? 'left' : 'right')),
): string {
  const drawn = new Table({
    head: [...heading],
    style: { head: [], border: [] },
    colAligns: [...alignments],
  });
  drawn.push(...rows.map((row) => [...row]));
  return drawn.toString();
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export const printJson = (value: unknown): void => print(JSON.stringify(value, undefined, 2));

/** An option parser for whole numbers of at least `least`. */
export function wholeNumber(option: string, least = 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least)
      throw new UsageError(`${option} must be a whole number of at least ${least}, not "${text}".`);
    return value;
  };
}

/** An option parser for numbers from 0 to 1. */
export function fraction(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0 && value <= 1))
      throw new UsageError(`${option} must be a number from 0 to 1, not "${text}".`);
    return value;
  };
}
