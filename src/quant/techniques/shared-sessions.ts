/** The sessions of a technique. A weight is rounded by a few small graphs, which are the same for all weights. */
import type { Model } from '../../onnx/read.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';

/** Sessions by a name; each is made when it is first needed, and all end together. */
export class SharedSessions implements AsyncDisposable {
  readonly #sessions = new Map<string, Promise<Session>>();

  /** @param build makes the graph of that name */
  get(name: string, build: () => Model): Promise<Session> {
    const session = this.#sessions.get(name) ?? Session.create(modelBytes(build()));
    this.#sessions.set(name, session);
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sessions = await Promise.allSettled(this.#sessions.values());
    for (const each of sessions) if (each.status === 'fulfilled') await each.value[Symbol.asyncDispose]();
  }
}
