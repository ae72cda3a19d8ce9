/** Progress of long work on the terminal. */

import { duration } from '../base/format.ts';
import { printable } from '../base/printable.ts';
import type { OnProgress, Progress, WorkOptions } from '../base/progress.ts';
import { interruption } from './interruption.ts';
import { notice } from './notices.ts';

/** Milliseconds between two drawings of a line that changes in place. */
const REDRAW_EVERY = 100;
/** Milliseconds between two lines where the standard error is a file or a pipe. */
const LOG_EVERY = 10_000;

/**
 * Estimates the time that is left from the work that was done since the first report. Work of an earlier run that was
 * interrupted says nothing about the speed of this run.
 */
export class Estimate {
  #first: { readonly done: number; readonly at: number } | undefined;

  /** @returns the seconds that are left, or undefined as long as nothing is known */
  secondsLeft({ done, total }: Pick<Progress, 'done' | 'total'>, now: number): number | undefined {
    this.#first ??= { done, at: now };
    const doneNow = done - this.#first.done;
    return doneNow > 0 ? ((now - this.#first.at) / 1000 / doneNow) * (total - done) : undefined;
  }
}

/** Writes a line that changes in place on a terminal, and a line now and then elsewhere. */
export function lineWriter(stream: NodeJS.WriteStream = process.stderr) {
  let drawn = Number.NEGATIVE_INFINITY;
  return (line: () => string, isFirst: boolean, isLast: boolean): void => {
    const now = performance.now();
    if (!isFirst && !isLast && now - drawn < (stream.isTTY ? REDRAW_EVERY : LOG_EVERY)) return;
    drawn = now;
    stream.write(
      stream.isTTY
        ? `\r\x1b[2K${printable(line()).slice(0, stream.columns)}${isLast ? '\n' : ''}`
        : `${printable(line())}\n`,
    );
  };
}

/** Draws progress with an estimate of the time that is left. */
export function drawProgress(stream: NodeJS.WriteStream = process.stderr): OnProgress {
  const write = lineWriter(stream);
  let label: string | undefined;
  let done = 0;
  let started = 0;
  let estimate = new Estimate();
  return (progress: Progress) => {
    const now = performance.now();
    // A training scores again and again: fewer parts than before are a new piece of work, although it has the same name.
    const isFirst = progress.label !== label || progress.done < done;
    done = progress.done;
    if (isFirst) {
      label = progress.label;
      started = now;
      estimate = new Estimate();
    }
    const left = estimate.secondsLeft(progress, now);
    const isLast = progress.done >= progress.total;
    write(() => describeProgress(progress, (now - started) / 1000, left), isFirst, isLast);
  };
}

function describeProgress({ label, done, total }: Progress, seconds: number, left: number | undefined): string {
  const fraction = total > 0 ? done / total : 1;
  // Work that has no parts is only named.
  if (total === 1 && done === 0) return label;
  const bar = '█'.repeat(Math.round(fraction * 20)).padEnd(20, '░');
  const time = done >= total ? `, ${duration(seconds)}` : left === undefined ? '' : `, ${duration(left)} left`;
  return `${label.padEnd(24)} ${bar} ${done}/${total}${time}`;
}

/** The progress, the signal and the notices that the command line passes to a step. */
export function work(): WorkOptions {
  return { onProgress: drawProgress(), signal: interruption(), onNotice: notice };
}
