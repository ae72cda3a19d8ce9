/**
 * Arguments that are too long for a process with ONNX Runtime (see runtime/command-line) are sent as a message to a child
 * process with a short command line.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { commandLineLength, LONGEST_COMMAND_LINE } from '../runtime/command-line.ts';

/** The only argument of a child process, which receives the real arguments from its parent. */
const FROM_PARENT = '--arguments-from-parent';

/** The arguments that the parent sends, if this process was started for that; undefined otherwise. */
export async function receiveArguments(given: readonly string[]): Promise<string[] | undefined> {
  if (given[0] !== FROM_PARENT || !process.send) return undefined;
  const [message]: unknown[] = await once(process, 'message');
  process.disconnect();
  return Array.isArray(message) ? message.map(String) : [];
}

/**
 * Runs the command in this process or, if the command line is too long, in a child process with a short one.
 *
 * @returns the exit code
 */
export async function runWithShortCommandLine(
  entry: string,
  given: readonly string[],
  run: (argv: readonly string[]) => Promise<number>,
): Promise<number> {
  if (commandLineLength() <= LONGEST_COMMAND_LINE) return run([process.execPath, entry, ...given]);
  const child = fork(entry, [FROM_PARENT], { stdio: 'inherit' });
  child.send(given);
  // Ctrl-C reaches the child by itself, as it has the same terminal; other signals are passed on.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code]: (number | null)[] = await once(child, 'exit');
  return code ?? 1;
}
