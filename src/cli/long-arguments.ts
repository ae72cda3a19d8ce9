/** Arguments too long for ONNX Runtime's process (see runtime/command-line): they go to a process of their own, by message. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { commandLineLength, LONGEST_COMMAND_LINE } from '../runtime/command-line.ts';

/** The only argument of a process that gets the real ones from its parent. */
const FROM_PARENT = '--arguments-from-parent';

/** The arguments that the parent sends, if this process was started for that; undefined otherwise. */
export async function receiveArguments(given: readonly string[]): Promise<string[] | undefined> {
  if (given[0] !== FROM_PARENT || !process.send) return undefined;
  const [message]: unknown[] = await once(process, 'message');
  process.disconnect();
  return Array.isArray(message) ? message.map(String) : [];
}

/** Runs the command here, or, if the command line is too long, in a child with a short one. Answers the exit code. */
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
