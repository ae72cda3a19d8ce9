/** The threads of the engine: workers that run the same module on the same memory, and take parts of the work of an operator. */
import type { CompiledModule, Memory } from './web-assembly.ts';

/**
 * What a thread does: it takes parts of the work until the engine ends its threads. Its first message says that it has started, or why it
 * does not start. It is a text, because a file of its own would have to be found beside the library, which bundlers move.
 */
const THREAD = `onmessage = async ({ data: { module, memory, stack } }) => {
  let exports;
  try {
    ({ exports } = await WebAssembly.instantiate(module, { env: { memory } }));
  } catch (error) {
    return postMessage({ problem: String(error) });
  }
  exports.__stack_pointer.value = stack;
  postMessage({});
  try {
    exports.dino8_run_thread();
  } catch {
    exports.dino8_fail_thread();
  }
  close();
};
onmessageerror = () => postMessage({ problem: 'this page does not let threads share memory' });`;

/** What is used of a browser's worker. */
interface Thread {
  onmessage: unknown;
  onerror: unknown;
  postMessage(message: unknown): void;
  terminate(): void;
}

/** What is used of a browser's global scope; Node.js has no workers of this kind. */
interface BrowserScope {
  readonly Worker?: new (address: string) => Thread;
}
const scope = globalThis as BrowserScope; // Node.js has other members

/** What a thread runs with. */
interface ThreadStart {
  readonly module: CompiledModule;
  readonly memory: Memory;
  /** The end of the memory of the thread's stack, which grows downward. */
  readonly stack: number;
}

/**
 * Starts threads, and waits until each takes part.
 * @param starts one for each thread
 * @returns a function that ends them, after the engine was told to
 * @throws Error if a thread does not start, for instance because the page's content security policy has no `worker-src blob:`
 */
export async function startThreads(starts: readonly ThreadStart[]): Promise<() => void> {
  const { Worker: Thread } = scope;
  if (!Thread) throw new Error('there are no workers here');
  const address = URL.createObjectURL(new Blob([THREAD], { type: 'text/javascript' }));
  const threads: Thread[] = [];
  const end = () => {
    for (const thread of threads) thread.terminate();
  };
  try {
    await Promise.all(
      starts.map((start) => {
        const thread = new Thread(address);
        threads.push(thread);
        return new Promise<void>((resolve, reject) => {
          thread.onmessage = ({ data: { problem } }: { readonly data: { readonly problem?: string } }) =>
            problem === undefined ? resolve() : reject(new Error(problem));
          thread.onerror = ({ message }: { readonly message?: string }) =>
            reject(new Error(message || "the page's content security policy does not allow workers of `blob:`"));
          thread.postMessage(start);
        });
      }),
    );
    return end;
  } catch (error) {
    end();
    throw error;
  } finally {
    URL.revokeObjectURL(address);
  }
}
