// A model in OpenVINO's CPU plug-in, by a Python that has openvino and numpy, with the interface of dino8's `Session`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelBytes } from '../dist/onnx.mjs';
import { floats } from '../dist/runtime.mjs';

const script = join(dirname(fileURLToPath(import.meta.url)), 'peers', 'openvino_serve.py');
const DTYPES = { Float32Array: '<f4', BigInt64Array: '<i8', Uint8Array: '|b1' };

export class OpenVinoSession {
  #process;
  #folder;
  #received = Buffer.alloc(0);
  #chunks;
  /** What the model says of itself: `openvino`, `precision` and `products`. */
  facts;
  /** The names of the inputs. */
  inputs;

  /** @param precision `f32`, or `default` for what OpenVINO chooses */
  static async create(python, model, precision, threads = 1) {
    const session = new OpenVinoSession();
    session.#folder = mkdtempSync(join(tmpdir(), 'dino8-openvino-'));
    const path = join(session.#folder, 'model.onnx');
    writeFileSync(path, modelBytes(model));
    session.#process = spawn(python, [script, path, precision, threads], { stdio: ['pipe', 'pipe', 'pipe'] });
    // The output is read as it comes, and its last lines say why a model did not load.
    let said = '';
    session.#process.stderr.on('data', (text) => {
      said = (said + text).slice(-2000);
    });
    session.#chunks = session.#process.stdout[Symbol.asyncIterator]();
    const line = await session.#line().catch(() => undefined);
    if (line === undefined) {
      await session.close();
      throw new Error(said.trim().split('\n').at(-1) || 'OpenVINO did not load the model');
    }
    session.facts = JSON.parse(line);
    session.inputs = new Set(session.facts.inputs);
    return session;
  }

  async run(feeds) {
    const entries = Object.entries(feeds);
    const bytes = entries.map(([, { data }]) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    const head = entries.map(([name, { data, shape }], index) => {
      return { name, dtype: DTYPES[data.constructor.name], shape, bytes: bytes[index].length };
    });
    this.#process.stdin.write(Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), ...bytes]));
    const results = new Map();
    for (const { names, shape, dtype, bytes: length } of JSON.parse(await this.#line())) {
      const data = new Uint8Array(await this.#bytes(length));
      if (dtype === '<f4') for (const name of names) results.set(name, floats(new Float32Array(data.buffer), shape));
    }
    return { get: (name) => results.get(name), dispose() {} };
  }

  async close() {
    const ended = this.#process.exitCode === null ? once(this.#process, 'exit') : undefined;
    this.#process.stdin.end();
    await ended;
    rmSync(this.#folder, { recursive: true });
  }

  async #more() {
    const { value, done } = await this.#chunks.next();
    if (done) throw new Error('the process of OpenVINO has ended');
    this.#received = Buffer.concat([this.#received, value]);
  }

  async #bytes(length) {
    while (this.#received.length < length) await this.#more();
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  async #line() {
    let end = this.#received.indexOf(10);
    while (end < 0) {
      await this.#more();
      end = this.#received.indexOf(10);
    }
    return (await this.#bytes(end + 1)).toString();
  }
}
