/** What takes long to load stops when its signal is aborted, with the reason of the signal, and leaves no session open. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { bundledCalibration } from '../src/data/bundled.ts';
import { takeImages } from '../src/data/coco.ts';
import { readDataset } from '../src/data/datasets/read-dataset.ts';
import { Detector } from '../src/detect/detector.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { loadModel, readCheckpoint, readPackage } from '../src/models/package/package.ts';
import { Session } from '../src/runtime/session.ts';
import { createTraining } from '../src/train/create-training.ts';
import { resolveTrainingSettings } from '../src/train/training-settings.ts';

let folder: string;
let checkpoint: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-aborted-'));
  checkpoint = await writeSmallCheckpoint(join(folder, 'checkpoint'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs work with a signal that is aborted after `opened` sessions. Returns how many sessions were opened, and how many stayed open. */
async function abortAfter(opened: number, work: (signal: AbortSignal) => Promise<unknown>) {
  const controller = new AbortController();
  const sessions: Session[] = [];
  const create = Session.create.bind(Session);
  const spy = vi.spyOn(Session, 'create').mockImplementation(async (...args) => {
    const session = await create(...args);
    if (sessions.push(session) === opened) controller.abort(new Error('enough'));
    return session;
  });
  const closed = vi.spyOn(Session.prototype, 'close');
  const disposed = vi.spyOn(Session.prototype, Symbol.asyncDispose);
  if (opened === 0) controller.abort(new Error('enough'));
  try {
    await expect(work(controller.signal)).rejects.toThrow('enough');
    const ended = new Set([...closed.mock.contexts, ...disposed.mock.contexts]);
    return { opened: sessions.length, open: sessions.filter((session) => !ended.has(session)).length };
  } finally {
    for (const each of [spy, closed, disposed]) each.mockRestore();
  }
}

test('reading a model', async () => {
  expect(await abortAfter(0, (signal) => loadModel(checkpoint, { signal }))).toEqual({ opened: 0, open: 0 });
  // Constants are folded by sessions while the graph is built.
  expect(await abortAfter(1, (signal) => readPackage(checkpoint, { signal }))).toMatchObject({ open: 0 });
});

test('a detector', async () => {
  const source = await readPackage(checkpoint);
  for (const opened of [0, 1, 2]) {
    const work = (signal: AbortSignal) => Detector.create(source, { threads: 1, signal });
    expect(await abortAfter(opened, work)).toEqual({ opened, open: 0 });
  }
});

test('a training', async () => {
  const source = await readCheckpoint(checkpoint);
  const dataset = takeImages(await readDataset(bundledCalibration()), 4);
  const settings = resolveTrainingSettings(source, dataset, 'train', { steps: 2, batch: 2, textLength: 32 });
  const work = (signal: AbortSignal) => createTraining(source, dataset, settings, { threads: 1, signal });
  expect(await abortAfter(0, work)).toEqual({ opened: 0, open: 0 });
  expect(await abortAfter(1, work)).toMatchObject({ open: 0 });
});
