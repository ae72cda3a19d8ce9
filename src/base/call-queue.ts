/** A queue of calls with a bound: a server that gets more work than it can do must say so before its memory is full. */
import { InputError } from './errors.ts';

/** Runs a few calls at once, lets some wait, and refuses the others. */
export class CallQueue {
  readonly #atOnce: number;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  /**
   * @param atOnce the number of calls that run at once
   * @param maxWaiting the number of calls that may wait
   */
  constructor(atOnce: number, maxWaiting: number) {
    this.#atOnce = atOnce;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Does `work` in its turn.
   * @throws InputError if too many calls wait already; the reason of `signal` if it is aborted before the turn
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    if (this.#running < this.#atOnce) this.#running++;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      // The place goes to the next call without being free in between.
      const [next] = this.#waiting;
      if (next) next();
      else this.#running--;
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= this.#maxWaiting)
      throw new InputError(
        `${this.#waiting.size} calls wait already, as many as \`maxWaiting\` allows; wait for some of them before the next.`,
      );
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(take);
        reject(signal?.reason);
      };
      const take = () => {
        this.#waiting.delete(take);
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      this.#waiting.add(take);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }
}
