/** Calls beyond the bound are refused, calls that wait can be aborted, and every other call has its turn. */
import { expect, test } from 'vitest';
import { CallQueue } from './call-queue.ts';
import { InputError } from './errors.ts';

/** A call that runs until it is told to end. */
function heldCall(queue: CallQueue, signal?: AbortSignal) {
  let end: () => void = () => undefined;
  const until = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { done: queue.run(() => until, signal), end };
}

test('runs two at once, lets one wait, and refuses the fourth', async () => {
  const queue = new CallQueue(2, 1);
  const [first, second, third] = [heldCall(queue), heldCall(queue), heldCall(queue)];
  await expect(heldCall(queue).done).rejects.toThrow(InputError);
  first.end();
  third.end();
  await Promise.all([first.done, third.done]);
  second.end();
  await second.done;
  expect(await queue.run(async () => 5)).toBe(5);
});

test('a call that waits is aborted at once, and takes no turn', async () => {
  const queue = new CallQueue(1, 5);
  const running = heldCall(queue);
  const controller = new AbortController();
  const waiting = heldCall(queue, controller.signal);
  const next = heldCall(queue);
  controller.abort(new Error('no longer wanted'));
  await expect(waiting.done).rejects.toThrow('no longer wanted');
  running.end();
  next.end();
  await Promise.all([running.done, next.done]);
});

test('a call that fails gives its place to the next', async () => {
  const queue = new CallQueue(1, 5);
  const failing = queue.run(() => Promise.reject(new Error('failed')));
  const next = queue.run(async () => 'done');
  await expect(failing).rejects.toThrow('failed');
  expect(await next).toBe('done');
});
