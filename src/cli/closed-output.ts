/** Ends the process with a sentence, or quietly, when its output cannot be written. */
import { writeSync } from 'node:fs';
import { messageOf, systemCode } from '../base/errors.ts';

/** The exit code of a process that wrote to a closed pipe, as shells write it: 128 and the number of SIGPIPE. */
const CLOSED_PIPE_CODE = 141;

/**
 * Listens to both output streams. Without it, Node.js ends with a stack trace. A reader that is gone, as in
 * `dino8 inspect model.onnx | head`, is no failure that anybody needs to read of; Node.js ignores SIGPIPE.
 */
export function exitWhenOutputCloses(): void {
  process.stdout.on('error', (error) => {
    if (systemCode(error) === 'EPIPE') process.exit(CLOSED_PIPE_CODE);
    const reason = systemCode(error) === 'ENOSPC' ? 'the disk is full' : messageOf(error);
    tryToSay(`dino8: the standard output cannot be written: ${reason}.\n`);
    process.exit(1);
  });
  exitWhenErrorsClose();
}

/** Listens to the stream of errors and notices alone, for a process that has given it another descriptor. */
export function exitWhenErrorsClose(): void {
  process.stderr.on('error', (error) => process.exit(systemCode(error) === 'EPIPE' ? CLOSED_PIPE_CODE : 1));
}

/** Writes without the stream, which would not write before the process ends. */
function tryToSay(sentence: string): void {
  try {
    writeSync(2, sentence);
  } catch {
    // There is nobody left to tell.
  }
}
