/** Videos are read and written by ffmpeg where it is installed, and by a program in its place that misbehaves. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import { inputArguments } from './ffmpeg.ts';
import { probeVideo, readVideo } from './read-video.ts';
import { VideoWriter } from './write-video.ts';

const hasFfmpeg = spawnSync('ffmpeg', ['-version']).status === 0 && spawnSync('ffprobe', ['-version']).status === 0;
const path = process.env.PATH;
let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-video-'));
});
afterEach(() => {
  process.env.PATH = path;
});

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** Frames whose pixels tell their numbers. */
const frameOf = (number: number, width = 8, height = 6) => ({
  width,
  height,
  pixels: Uint8Array.from({ length: width * height * 3 }, (_, place) => (number * 20 + place) % 256),
});

describe.skipIf(!hasFfmpeg)('with ffmpeg (these tests need it to be installed)', () => {
  /** A video without loss, 5 frames a second, made by ffmpeg from raw pixels. */
  const makeVideo = (name: string, count: number) =>
    execFileSync(
      'ffmpeg',
      ['-v', 'error', '-y', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', '8x6', '-r', '5', '-i', 'pipe:0'].concat([
        '-c:v',
        'ffv1',
        '-pix_fmt',
        'bgr0',
        '-f',
        'matroska',
        `file:${at(name)}`,
      ]),
      { input: Buffer.concat(Array.from({ length: count }, (_, number) => frameOf(number).pixels)) },
    );

  test('frames have the pixels, numbers and times of the file', async () => {
    makeVideo('x.mkv', 7);
    expect(await probeVideo(at('x.mkv'))).toEqual({ rate: '5/1', frames: 7 });
    const frames = await collect(readVideo(at('x.mkv')));
    expect(frames.map(({ frame }) => frame)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const { frame, seconds, image } of frames) {
      expect(seconds).toBeCloseTo(frame / 5, 3);
      expect(Buffer.compare(image.pixels, frameOf(frame).pixels)).toBe(0);
    }
    const some = await collect(readVideo(at('x.mkv'), { every: 3 }));
    expect(some.map(({ frame, seconds }) => [frame, seconds])).toEqual([0, 3, 6].map((frame) => [frame, frame / 5]));
    expect(Buffer.compare(some[2]?.image.pixels ?? Buffer.alloc(0), frameOf(6).pixels)).toBe(0);
  });

  test('names are never options, protocols, patterns or commands', async () => {
    makeVideo('plain.mkv', 2);
    for (const name of ['-i.mkv', 'concat:a|b.mkv', 'http:x.mkv', '%03d.mkv', "a'b;$(touch pwned).mkv", 'pipe:0']) {
      await copyFile(at('plain.mkv'), at(name));
      expect(await collect(readVideo(at(name))), name).toHaveLength(2);
    }
    expect(await readdir(folder)).not.toContain('pwned');
    await writeFile(at('list.mkv'), `ffconcat version 1.0\nfile '${at('plain.mkv')}'\n`);
    await writeFile(at('list.mp4'), `#EXTM3U\n#EXTINF:1,\nfile://${at('plain.mkv')}\n#EXT-X-ENDLIST\n`);
    for (const name of ['list.mkv', 'list.mp4'])
      await expect(probeVideo(at(name))).rejects.toThrow(/cannot be read as a video/);
  });

  test('a video that is written is read again, with sides of an even number of pixels', async () => {
    {
      await using writer = new VideoWriter(at('w.mp4'), { width: 33, height: 19 }, '10/3');
      for (let number = 0; number < 4; number++) await writer.write(frameOf(number, 33, 19));
      await writer.finish();
    }
    const frames = await collect(readVideo(at('w.mp4')));
    expect(frames).toHaveLength(4);
    expect(frames[3]?.seconds).toBeCloseTo(0.9, 2);
    expect(frames[0]?.image).toMatchObject({ width: 34, height: 20 });
  });

  test('what is not finished leaves no file', async () => {
    await mkdir(at('unfinished'));
    {
      await using writer = new VideoWriter(at('unfinished/w.mp4'), { width: 64, height: 64 }, '5/1');
      await writer.write(frameOf(0, 64, 64));
    }
    const controller = new AbortController();
    await using writer = new VideoWriter(at('unfinished/v.mp4'), { width: 64, height: 64 }, '5/1', controller.signal);
    await writer.write(frameOf(0, 64, 64));
    controller.abort(new Error('stopped'));
    await expect(writer.finish()).rejects.toThrow('stopped');
    await writer[Symbol.asyncDispose]();
    expect(await readdir(at('unfinished'))).toEqual([]);
  });

  test('an aborted reading ends with its reason, and a damaged video with a sentence', async () => {
    makeVideo('long.mkv', 300);
    const controller = new AbortController();
    const reading = async () => {
      for await (const { frame } of readVideo(at('long.mkv'), { signal: controller.signal }))
        if (frame === 3) controller.abort(new Error('stopped'));
    };
    await expect(reading()).rejects.toThrow('stopped');
    await writeFile(at('bad.mp4'), Buffer.from('\0\0\0\x18ftypisom\0\0\0\0isommp42 and nothing more', 'latin1'));
    await expect(probeVideo(at('bad.mp4'))).rejects.toThrow(/bad\.mp4 cannot be read as a video \(ffmpeg: /);
  });
});

test('a name is an absolute path behind a protocol', () => {
  expect(inputArguments('-i.mp4').at(-1)).toBe(`file:${join(process.cwd(), '-i.mp4')}`);
});

test('without ffmpeg there is a sentence that says what to install', async () => {
  process.env.PATH = folder;
  const failure = await probeVideo(at('x.mp4')).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(InputError);
  expect(String(failure)).toMatch(/needs the program ffmpeg, and it is not installed here; install it/);
  await using writer = new VideoWriter(at('w.mp4'), { width: 2, height: 2 }, '5/1');
  await expect(writer.finish()).rejects.toThrow(/not installed/);
});

describe.skipIf(process.platform === 'win32')('a program in the place of ffmpeg', () => {
  /** Puts a program first in the path. It is given its name and the text that follows the answer to `-version`. */
  async function pretend(script: string): Promise<void> {
    const place = await mkdtemp(join(folder, 'bin-'));
    const text = `#!${process.execPath}\nif (process.argv.includes('-version')) console.log('ffmpeg version 7.1');\nelse {\n${script}\n}\n`;
    for (const name of ['ffmpeg', 'ffprobe']) await writeFile(join(place, name), text, { mode: 0o755 });
    process.env.PATH = `${place}${delimiter}${path}`;
  }

  test.each([
    ['a huge frame', `process.stdout.write('P6\\n60000 60000\\n255\\n')`, /60000x60000 pixels/],
    ['no header', `process.stdout.write('x'.repeat(1000))`, /middle of a frame/],
    ['half a frame', `process.stdout.write('P6\\n4 4\\n255\\nabc')`, /middle of a frame/],
    ['a failure', `console.error('[error] no such codec'); process.exitCode = 1`, /ffmpeg: no such codec/],
  ])('%s is an error', async (_, script, message) => {
    await pretend(script);
    await expect(collect(readVideo(at('x.mp4')))).rejects.toThrow(InputError);
    await expect(collect(readVideo(at('x.mp4')))).rejects.toThrow(message);
  });

  test('frames are made no faster than they are taken', async () => {
    await pretend(`
      const frame = Buffer.concat([Buffer.from('P6\\n1000 1000\\n255\\n'), Buffer.alloc(3_000_000)]);
      let count = 0;
      const next = () => {
        console.error('[x @ 0x1] [info] n: ' + count + ' pts: ' + count + ' pts_time:' + count);
        if (++count > 200) return;
        require('node:fs').writeFileSync(${JSON.stringify(at('made'))}, String(count));
        if (process.stdout.write(frame)) setImmediate(next);
        else process.stdout.once('drain', next);
      };
      next();`);
    let [ahead, taken] = [0, 0];
    for await (const { frame } of readVideo(at('x.mp4'))) {
      if (frame === 100) await new Promise((resolve) => setTimeout(resolve, 200));
      ahead = Math.max(ahead, Number(await readFile(at('made'), 'utf8')) - taken++);
      if (frame === 150) break;
    }
    // Frames wait in the pipe, in its buffer, and at the reader.
    expect(ahead).toBeLessThan(20);
  });

  test('a description without an end, or without a video, is an error', async () => {
    await pretend(`process.stdout.write('x'.repeat(1 << 21))`);
    await expect(probeVideo(at('x.mp4'))).rejects.toThrow(/no end/);
    await pretend(`console.log('{"streams": []}')`);
    await expect(probeVideo(at('x.mp4'))).rejects.toThrow(/no video in it/);
  });
});
