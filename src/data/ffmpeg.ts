/** The programs ffmpeg and ffprobe, which read and write videos. They are started without a shell and in a group of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { unlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { InputError, messageOf, systemCode } from '../base/errors.ts';

/**
 * The containers that are opened. Others, such as playlists and scripts, may name further files, and a picture sequence is a
 * pattern of names.
 */
const CONTAINERS =
  'mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,asf,ogg,mxf,nut,dv,ivf,m4v,h264,hevc,wtv,rm';

/**
 * The arguments that open a video. Its path is absolute and behind `file:`, so that no name is taken for an option, a protocol
 * or a URL, and nothing but files is opened.
 */
export const inputArguments = (path: string): string[] => [
  '-protocol_whitelist',
  'file',
  '-format_whitelist',
  CONTAINERS,
  '-i',
  `file:${resolve(path)}`,
];

/** Lines of the program's errors that are kept. */
const KEPT_LINES = 20;

/** Programs that are running, with the unfinished file of each: a process that ends at once takes them along. */
const running = new Map<ChildProcess, string | undefined>();

function endAll(): void {
  for (const [child, unfinished] of running) {
    child.kill('SIGKILL');
    if (unfinished === undefined) continue;
    try {
      unlinkSync(unfinished);
    } catch {
      // It was not begun yet.
    }
  }
}

/** The arguments and the input of a program. */
export interface ProgramOptions {
  readonly signal?: AbortSignal | undefined;
  /** The file that is unfinished until the program has ended well. */
  readonly unfinished?: string | undefined;
  /** Called with each line that the program writes to its standard error. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** A program that is running. It is killed when it is disposed of, or when its signal is aborted. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly #errors: string[] = [];
  readonly #ended: Promise<number | Error>;
  readonly #signal: AbortSignal | undefined;

  /** @param path the video, for error messages */
  constructor(
    name: 'ffmpeg' | 'ffprobe',
    given: readonly string[],
    readonly path: string,
    { signal, unfinished, onLine }: ProgramOptions = {},
  ) {
    // A group of its own keeps Ctrl-C of the terminal from the program, so that it does not finish a file half way.
    const child = spawn(name, given, { stdio: 'pipe', detached: process.platform !== 'win32', windowsHide: true });
    this.child = child;
    this.#signal = signal;
    if (running.size === 0) process.once('exit', endAll);
    running.set(child, unfinished);
    const kill = () => child.kill('SIGKILL');
    signal?.addEventListener('abort', kill, { once: true });
    createInterface({ input: child.stderr }).on('line', (line) => {
      onLine?.(line);
      const text = /\[(?:error|fatal|panic)\] (.*)/.exec(line)?.[1];
      if (text !== undefined && this.#errors.length < KEPT_LINES) this.#errors.push(text);
    });
    child.stdin.on('error', () => undefined); // The program has ended, which its exit code explains.
    this.#ended = new Promise((end) => {
      child.once('error', end);
      // Not the event "close", which waits until everything that the program has written is read.
      child.once('exit', (code) => {
        if (child.stderr.closed) end(code ?? -1);
        else child.stderr.once('close', () => end(code ?? -1));
      });
    });
    this.#ended.then(() => {
      signal?.removeEventListener('abort', kill);
      running.delete(child);
      if (running.size === 0) process.removeListener('exit', endAll);
    });
  }

  /** The first complaint of the program, without the path; undefined if there is none. */
  get complaint(): string | undefined {
    const [first] = this.#errors;
    if (first?.startsWith('Format not on whitelist'))
      return 'it is a playlist, a script, or of a format that dino8 does not open';
    return first?.replaceAll(`file:${resolve(this.path)}: `, '').replace(/^\[[^\]]* @ \w+\] /, '');
  }

  /**
   * Waits until the program has ended.
   * @param verb what the program could not do with the video
   * @throws InputError if it failed or is not installed, and the reason of the signal if it was aborted
   */
  async end(verb: 'read' | 'written'): Promise<void> {
    const result = await this.#ended;
    this.#signal?.throwIfAborted();
    if (result === 0) return;
    if (result instanceof Error)
      throw new InputError(
        systemCode(result) === 'ENOENT'
          ? `${this.path} is a video, for which dino8 needs the program ffmpeg, and it is not installed here; install it, for instance with "apt install ffmpeg", "brew install ffmpeg" or "winget install ffmpeg".`
          : `${this.path} cannot be ${verb}, because ffmpeg does not start (${messageOf(result)}).`,
      );
    throw new InputError(
      `${this.path} cannot be ${verb} as a video (ffmpeg: ${this.complaint ?? `exit code ${result}`}).`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill('SIGKILL');
    this.child.stdout?.destroy();
    await this.#ended;
  }
}
