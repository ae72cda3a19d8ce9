/** Golden tensors that the reference implementation computed, from test/fixtures. Some of the files are compressed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { exists } from '../base/files.ts';
import { packageRoot } from '../base/package-root.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import { readSafetensors } from '../models/checkpoint/safetensors.ts';

/** The folder of the golden tensors. */
export const goldenFolder = join(packageRoot, 'test/fixtures/golden');

/**
 * Reads a file of golden tensors.
 * @param file the path below the folder, without `.safetensors` and `.gz`
 */
export async function readGolden(file: string): Promise<Checkpoint> {
  const path = join(goldenFolder, `${file}.safetensors`);
  if (await exists(path)) return readSafetensors(path);
  const folder = mkdtempSync(join(tmpdir(), 'golden-'));
  try {
    const unpacked = join(folder, basename(path));
    writeFileSync(unpacked, gunzipSync(readFileSync(`${path}.gz`)));
    return await readSafetensors(unpacked);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
