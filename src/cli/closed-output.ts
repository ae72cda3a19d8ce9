/** Ends the process quietly when the reader of its output is gone, as in `dino8 inspect model.onnx | head`. */
import { systemCode } from '../base/errors.ts';

/** The exit code of a process that wrote to a closed pipe, as shells write it: 128 and the number of SIGPIPE. */
const CLOSED_PIPE_CODE = 141;

/** Listens to both output streams. Without it, Node.js ends with a stack trace, because it ignores SIGPIPE. */
export function exitWhenOutputCloses(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error) => {
      if (systemCode(error) !== 'EPIPE') throw error;
      process.exit(CLOSED_PIPE_CODE);
    });
}
