/** Checkpoints are found in what people name: folders of trainings, single files of any name, and things that are no checkpoint. */
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../../base/errors.ts';
import { packageRoot } from '../../base/package-root.ts';
import { readSafetensors } from '../checkpoint/safetensors.ts';
import { writeSafetensors } from '../checkpoint/write-safetensors.ts';
import { writeSmallCheckpoint } from '../grounding-dino/testing/small-checkpoint.ts';
import { type CheckpointPackage, loadModel, readCheckpoint } from './package.ts';

let folder: string;
let source: string;
let expected: CheckpointPackage;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-checkpoints-'));
  source = await writeSmallCheckpoint(at('small'));
  expected = await readCheckpoint(source);
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** A copy of the checkpoint's folder. */
async function copy(name: string): Promise<string> {
  await cp(source, at(name), { recursive: true });
  return at(name);
}

/** The checkpoint's tensors in a folder of their own, with other names. */
async function withNames(name: string, renamed: (tensor: string) => string): Promise<string> {
  const path = await copy(name);
  const tensors = await readSafetensors(join(path, 'model.safetensors'));
  await writeSafetensors(
    new Map([...tensors].map(([key, value]) => [renamed(key), value])),
    join(path, 'model.safetensors'),
  );
  return path;
}

async function expectSame(path: string): Promise<CheckpointPackage> {
  const found = await readCheckpoint(path);
  expect([...found.tensors.keys()].toSorted()).toEqual([...expected.tensors.keys()].toSorted());
  for (const [name, tensor] of expected.tensors)
    expect(Buffer.compare(found.tensors.get(name)?.bytes ?? Buffer.alloc(0), tensor.bytes), name).toBe(0);
  return found;
}

describe('safetensors', () => {
  test.each(['module.', 'model.', '_orig_mod.'])('with the prefix %s of a wrapper', async (prefix) => {
    await expectSame(await withNames(`prefix-${prefix}`, (name) => prefix + name));
  });

  test('without the `model.` that is part of the names', async () => {
    await expectSame(await withNames('cut', (name) => name.replace(/^model\./, '')));
  });

  test('as the file itself, whatever it is called', async () => {
    const path = await copy('file');
    await expectSame(join(path, 'model.safetensors'));
    await rename(join(path, 'model.safetensors'), join(path, 'weights'));
    await expectSame(join(path, 'weights'));
    await rename(join(path, 'weights'), join(path, 'pytorch_model.bin'));
    await expectSame(path);
  });

  test('in shards, also under the names of PyTorch, of which one alone is refused', async () => {
    const path = await copy('shards');
    const tensors = [...(await readSafetensors(join(path, 'model.safetensors')))];
    await rm(join(path, 'model.safetensors'));
    const shards = ['pytorch_model-00001-of-00002.bin', 'pytorch_model-00002-of-00002.bin'] as const;
    const weight_map: Record<string, string> = {};
    for (const [index, shard] of shards.entries()) {
      const part = tensors.filter((_, place) => place % 2 === index);
      await writeSafetensors(new Map(part), join(path, shard));
      for (const [name] of part) weight_map[name] = shard;
    }
    await writeFile(join(path, 'pytorch_model.bin.index.json'), JSON.stringify({ metadata: {}, weight_map }));
    await expectSame(path);
    await expect(readCheckpoint(join(path, shards[0]))).rejects.toThrow(
      /one of the files of a checkpoint; name their folder/,
    );
    await expect(loadModel(join(path, 'pytorch_model.bin.index.json'))).rejects.toThrow(
      /the index of a checkpoint in shards/,
    );
    await writeFile(
      join(path, 'pytorch_model.bin.index.json'),
      JSON.stringify({ weight_map: { ...weight_map, [tensors[0]?.[0] ?? '']: '../small/model.safetensors' } }),
    );
    await expect(readCheckpoint(path)).rejects.toThrow(/outside its folder; refused/);
  });

  test('safetensors before pytorch_model.bin, as transformers does', async () => {
    const path = await copy('both');
    await writeFile(join(path, 'pytorch_model.bin'), 'not read');
    await expectSame(path);
  });
});

describe('the tokenizer of a checkpoint', () => {
  const TOKENIZER = ['tokenizer.json', 'tokenizer_config.json'];
  const without = async (name: string) => {
    const path = await copy(name);
    for (const file of TOKENIZER) await rm(join(path, file));
    return path;
  };

  test('is looked for in the folder above', async () => {
    await mkdir(at('training'));
    const path = await without('training/checkpoint-10');
    await expect(readCheckpoint(path)).rejects.toThrow(UsageError);
    await expect(readCheckpoint(path)).rejects.toThrow(
      /no tokenizer\.json beside it or in the folder above.*`tokenizer`/,
    );
    for (const file of TOKENIZER) await cp(join(source, file), at(`training/${file}`));
    const found = await expectSame(path);
    expect(found.tokenizer).toEqual(expected.tokenizer);
    expect(found.notices).toContainEqual(
      expect.stringMatching(/has no tokenizer beside it; that in .*training is taken/),
    );
  });

  test('is taken from the folder that is named', async () => {
    await mkdir(at('apart'));
    const path = await without('apart/checkpoint');
    const found = await readCheckpoint(path, { tokenizer: source });
    expect(found.tokenizer).toEqual(expected.tokenizer);
    await expect(readCheckpoint(path, { tokenizer: at('apart') })).rejects.toThrow(/has no tokenizer\.json/);
    await expect(readCheckpoint(path, { tokenizer: at('nothing') })).rejects.toThrow(/must be a folder/);
  });

  test('must not have more tokens than the model', async () => {
    const path = await copy('added');
    const tokenizer = JSON.parse(await readFile(join(path, 'tokenizer.json'), 'utf8'));
    tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], id: 5000, content: '[NEW]' });
    await writeFile(join(path, 'tokenizer.json'), JSON.stringify(tokenizer));
    await expect(readCheckpoint(path)).rejects.toThrow(/has 5001 tokens, and .* knows only 1040/);
  });

  test('and its average are no options of a built model', async () => {
    await expect(loadModel(join(packageRoot, 'test/fixtures/none.onnx'), { ema: true })).rejects.toThrow(
      /does not exist/,
    );
    await writeFile(at('built.onnx'), 'x');
    await expect(loadModel(at('built.onnx'), { ema: true })).rejects.toThrow(/`ema` is for checkpoints/);
    await expect(loadModel(at('built.onnx'), { tokenizer: source })).rejects.toThrow(/`tokenizer` is for checkpoints/);
  });
});

describe('what is no checkpoint is called what it is', () => {
  test.each([
    ['lfs.pth', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 694000000\n', /Git LFS.*git lfs pull/],
    ['lfs.onnx', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 694000000\n', /Git LFS/],
    ['page.pth', '<!DOCTYPE html><html></html>', /a web page/],
    ['answer.pth', '{"error": "Repository not found"}', /the answer of a server, "Repository not found"/],
    ['settings.pth', '{"a": 1}', /JSON, which holds no weights/],
    ['empty.safetensors', '', /is empty/],
    ['noise.PTH', 'noise', /neither a file of torch\.save nor one of safetensors/],
    ['model.gguf', 'GGUF', /GGUF/],
  ])('%s', async (name, content, message) => {
    await writeFile(at(name), content);
    await expect(loadModel(at(name))).rejects.toThrow(InputError);
    await expect(loadModel(at(name))).rejects.toThrow(message);
  });

  test('a pointer of Git LFS inside a folder', async () => {
    const path = await copy('pointer');
    await writeFile(join(path, 'model.safetensors'), 'version https://git-lfs.github.com/spec/v1\n');
    await expect(readCheckpoint(path)).rejects.toThrow(/model\.safetensors is a pointer of Git LFS/);
    await cp(join(source, 'model.safetensors'), join(path, 'model.safetensors'));
    await writeFile(join(path, 'tokenizer.json'), 'version https://git-lfs.github.com/spec/v1\n');
    await expect(readCheckpoint(path)).rejects.toThrow(/tokenizer\.json is a pointer of Git LFS/);
  });

  test.each([
    [['adapter_model.safetensors', 'adapter_config.json'], /adapter without its model.*merge_and_unload/],
    [
      ['checkpoint-9/', 'checkpoint-500/', 'runs/'],
      /a whole training; name one of its checkpoints, such as checkpoint-500/,
    ],
    [['groundingdino_swint_ogc.pth', 'notes.txt'], /holds groundingdino_swint_ogc\.pth; name that file/],
    [
      ['optimizer.pt', 'scheduler.pt', 'rng_state.pth'],
      /the state of a training alone \(optimizer\.pt, rng_state\.pth/,
    ],
    [['snapshots/', 'blobs/', 'refs/'], /the Hub's cache/],
    [['flax_model.msgpack'], /a Flax model/],
    [['tf_model.h5'], /a TensorFlow model/],
    [['model.onnx'], /ONNX models \(model\.onnx\)/],
    [['notes.txt'], /is the checkpoint complete/],
    [[], /is empty/],
  ] as const)('a folder with %j', async (names, message) => {
    const path = await mkdtemp(at('folder-'));
    for (const name of names) await (name.endsWith('/') ? mkdir(join(path, name)) : writeFile(join(path, name), 'x'));
    await expect(loadModel(path)).rejects.toThrow(UsageError);
    await expect(loadModel(path)).rejects.toThrow(message);
    await cp(join(source, 'config.json'), join(path, 'config.json'));
    await expect(loadModel(path)).rejects.toThrow(UsageError);
  });

  test('an adapter beside the weights, which transformers would add', async () => {
    const path = await copy('adapted');
    await writeFile(join(path, 'adapter_config.json'), '{}');
    await expect(readCheckpoint(path)).rejects.toThrow(/holds an adapter/);
  });

  test.each([
    [
      'IDEA-Research/grounding-dino-tiny',
      /hf download IDEA-Research\/grounding-dino-tiny --local-dir grounding-dino-tiny/,
    ],
    ['https://huggingface.co/IDEA-Research/grounding-dino-base', /hf download IDEA-Research\/grounding-dino-base/],
    ['https://example.com/groundingdino_swint_ogc.pth', /is a URL, and dino8 does not use the network/],
    ['nothing.pth', /^nothing\.pth does not exist; check the path\.$/],
    ['assets/nan', /^assets\/nan does not exist; check the path\.$/],
    ['weights/nothing.pth', /^weights\/nothing\.pth does not exist; check the path\.$/],
  ])('%s', async (path, message) => {
    for (const read of [loadModel, readCheckpoint]) {
      await expect(read(path)).rejects.toThrow(UsageError);
      await expect(read(path)).rejects.toThrow(message);
    }
  });
});
