/**
 * Starts dino8's command line in a process of its own, which gets its arguments as a message: ONNX Runtime does not bear
 * long command lines (see runtime/command-line).
 */
import { type ChildProcess, fork, type StdioOptions } from 'node:child_process';

/** The only argument of such a process. */
export const FROM_PARENT = '--arguments-from-parent';

/** The message by which such a process gets its arguments. */
export interface StartMessage {
  readonly given: readonly string[];
  /** The descriptor of the stream for errors and notices, if it is not that of the standard error. */
  readonly errors?: number | undefined;
}

/**
 * Starts `entry`, the file of the command line, with `given` as its arguments. The process ends with this one.
 * @param stdio the three standard streams of the process, and others
 * @param errors the descriptor in the process to which its errors and notices go, if it is not that of the standard error
 */
export function startCommand(
  entry: string,
  given: readonly string[],
  stdio: StdioOptions,
  errors?: number,
): ChildProcess {
  const child = fork(entry, [FROM_PARENT], { stdio });
  const message: StartMessage = { given, errors };
  // A process that dies before it has read the message is reported by its exit.
  child.send(message, () => undefined);
  return child;
}

/**
 * Describes the end of a process by a signal that was not sent to stop it, as a sentence without its period.
 * @param options the options that take memory, in the words of the caller
 */
export function describeDeath(signal: string, options: string): string {
  const lower = `give it more memory, or lower what takes it: ${options}, and the size of the pictures`;
  if (signal === 'SIGKILL') return `the system ended the work (SIGKILL), as it does when memory runs out; ${lower}`;
  if (['SIGABRT', 'SIGTRAP', 'SIGILL'].includes(signal))
    return `the work was aborted (${signal}), most likely because memory ran out; ${lower}`;
  if (signal === 'SIGBUS')
    return 'the work ended by SIGBUS: a file was cut while it was read, or the disk or the memory is full';
  return `the work ended by ${signal} in native code, which is a defect; please report it with the command, and try DINO8_NO_KERNELS=1`;
}
