/**
 * Starts dino8's command line in a process of its own, which gets its arguments as a message: ONNX Runtime does not bear
 * long command lines (see runtime/command-line).
 */
import { type ChildProcess, fork, type StdioOptions } from 'node:child_process';

/** The only argument of such a process. */
export const FROM_PARENT = '--arguments-from-parent';

/**
 * Starts `entry`, the file of the command line, with `given` as its arguments. The process ends with this one.
 * @param stdio the three standard streams of the process
 */
export function startCommand(entry: string, given: readonly string[], stdio: StdioOptions): ChildProcess {
  const child = fork(entry, [FROM_PARENT], { stdio });
  // A process that dies before it has read the message is reported by its exit.
  child.send([...given], () => undefined);
  return child;
}
