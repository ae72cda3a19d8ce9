/** Files that are no files, or may not be read, are refused in one sentence by every reader, and none of them waits. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Dino8Error } from '../src/base/errors.ts';
import { hashFile } from '../src/base/hash-files.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { findImages } from '../src/data/find-images.ts';
import { probeVideo } from '../src/data/read-video.ts';
import { readDetections } from '../src/evaluate/detections-file.ts';
import {
  checkPictures,
  detect,
  findTensorFiles,
  loadModel,
  readAnnotations,
  readCheckpoint,
  readDataset,
  readImage,
  readPackage,
  readPhrases,
  readRecipe,
} from '../src/index.ts';
import { tensorSamples } from '../src/models/generic/tensor-samples.ts';
import { GraphBuilder } from '../src/onnx/builder.ts';
import { readModel } from '../src/onnx/read.ts';
import { DataType } from '../src/onnx/types.ts';
import { readStatistics } from '../src/quant/observe/statistics-file.ts';
import { Session } from '../src/runtime/session.ts';

let folder: string;
let server: Server;
const at = (...parts: string[]) => join(folder, ...parts);

const empty = { images: [], annotations: [], categories: [] };
const b = new GraphBuilder('x');
b.output('y', b.relu(b.input('x', DataType.FLOAT, [1])));
const model = b.finish();

/** Each reader, with the ending of the files that it takes. */
const READERS: Readonly<Record<string, readonly [ending: string, read: (path: string) => Promise<unknown>]>> = {
  readImage: ['jpg', readImage],
  'detect, a picture': [
    'jpg',
    (path) => detect({ model: join(packageRoot, 'assets/nano'), images: [path], phrases: 'x' }),
  ],
  'detect, a video': [
    'mp4',
    (path) => detect({ model: join(packageRoot, 'assets/nano'), images: [path], phrases: 'x' }),
  ],
  probeVideo: ['mp4', probeVideo],
  readPhrases: ['txt', readPhrases],
  readRecipe: ['yaml', readRecipe],
  readModel: ['onnx', readModel],
  loadModel: ['onnx', loadModel],
  readPackage: ['safetensors', readPackage],
  readCheckpoint: ['pth', readCheckpoint],
  'Session.create': ['onnx', (path) => Session.create(path)],
  'readDataset of COCO': ['json', readDataset],
  'readDataset of YOLO': ['yaml', readDataset],
  readAnnotations: ['json', readAnnotations],
  readDetections: ['json', (path) => readDetections(path, empty)],
  readStatistics: ['json', readStatistics],
  hashFile: ['jpg', hashFile],
  tensorSamples: [
    'npy',
    async (path) => {
      for await (const _ of tensorSamples(model, await findTensorFiles(path)).samples());
    },
  ],
  'checkPictures, a picture of a data set': [
    'jpg',
    (path) =>
      checkPictures({
        ...empty,
        images: [{ id: 1, file_name: path, width: 0, height: 0 }],
        categories: [{ id: 1, name: 'x' }],
        pathOf: () => path,
      }),
  ],
};

const reading = Object.entries(READERS).map(([name, [ending, read]]) => ({ name, ending, read }));

describe.skipIf(process.platform === 'win32')('a file of another kind', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dino8-odd-'));
    server = createServer().listen(at('socket'));
    execFileSync('mkfifo', [at('pipe')]);
    for (const ending of new Set(reading.map((reader) => reader.ending))) {
      await symlink(at('pipe'), at(`pipe.${ending}`));
      await symlink(at('socket'), at(`socket.${ending}`));
      await symlink('/dev/zero', at(`device.${ending}`));
      await mkdir(at(`folder.${ending}`));
    }
  });
  afterAll(async () => {
    server.close();
    await rm(folder, { recursive: true });
  });

  describe.each(['pipe', 'socket', 'device', 'folder'])('a %s', (kind) => {
    // The time limit of the test is what a reader that waits runs into.
    test.each(reading)('$name', { timeout: 20_000 }, async ({ ending, read }) => {
      const failure = await read(at(`${kind}.${ending}`)).then(
        () => 'nothing',
        (error: unknown) => error,
      );
      expect(failure).toBeInstanceOf(Dino8Error);
      expect(String(failure)).toMatch(/^\w+: .*\.$/);
    });
  });
});

// The administrator may read everything: docs/reliability.md has the command for another user.
describe.skipIf(process.platform === 'win32' || process.getuid?.() === 0)('what may not be read', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dino8-locked-'));
    await mkdir(at('locked', 'inside'), { recursive: true });
    for (const ending of new Set(reading.map((reader) => reader.ending))) {
      await writeFile(at(`file.${ending}`), 'x');
      await chmod(at(`file.${ending}`), 0);
      await writeFile(at('locked', `file.${ending}`), 'x');
    }
    await chmod(at('locked'), 0);
  });
  afterAll(async () => {
    await chmod(at('locked'), 0o700);
    await rm(folder, { recursive: true });
  });

  test.each(reading)('$name', async ({ ending, read }) => {
    await expect(read(at(`file.${ending}`))).rejects.toThrow(/permission denied/i);
    await expect(read(at('locked', `file.${ending}`))).rejects.toThrow(/permission denied/i);
  });

  test.each([
    ['pictures', () => findImages([at('locked')])],
    ['a pattern', () => findImages([at('**', '*.jpg')])],
    ['a data set', () => readDataset(at('locked'))],
    ['arrays', () => findTensorFiles(at('locked'))],
    ['a checkpoint', () => readCheckpoint(at('locked'))],
  ])('a folder of %s', async (_, read) => {
    await expect(read()).rejects.toThrow(/permission denied/i);
  });
});
