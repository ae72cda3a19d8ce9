/** Finds out if an execution provider works on this machine: ONNX Runtime may contain providers that cannot start. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { packageRoot } from '../base/package-root.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import type { ProviderName } from './options.ts';

/** Runs one addition; its arguments are the address of dino8's runtime, the name of the provider and the model. */
const SCRIPT = `
  const [runtime, provider, model] = process.argv.slice(1);
  const { floats, Session } = await import(runtime);
  try {
    const session = await Session.create(Buffer.from(model, 'base64'), { providers: [provider] });
    (await session.run({ x: floats(Float32Array.of(1), [1]) })).dispose();
    console.log('works');
  } catch (error) {
    console.log(error.message);
  }`;

/**
 * Runs one addition on an execution provider, in a process of its own: drivers print warnings that no setting of ONNX
 * Runtime turns off, and a driver that fails may end the process.
 *
 * @returns "works", or the sentence that says why it does not
 */
export async function tryProvider(name: ProviderName): Promise<string> {
  const b = new GraphBuilder('one addition');
  b.output('y', b.add(b.input('x', DataType.FLOAT, ['n']), 1));
  const model = Buffer.from(modelBytes(b.finish())).toString('base64');
  const runtime = pathToFileURL(join(packageRoot, 'dist', 'runtime.mjs')).href;
  const options = ['--input-type=module', '-e', SCRIPT, runtime, name, model];
  try {
    const { stdout } = await promisify(execFile)(process.execPath, options);
    return stdout.trim();
  } catch {
    return 'The process that tried this execution provider failed.';
  }
}
