// The models that bench/full.mjs measures: made once and kept in .dino8/bench-full. Those of dino8 are made again when dino8
// has changed, and those of other tools when their file is missing.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { kernelOptions } from '../dist/runtime.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
const assets = join(root, 'assets');

export const peer = (script) => join(here, 'peers', script);

/** Tells one build of dino8 from another. The names of the chunks in dist/ contain hashes of their contents. */
export const build = createHash('sha256')
  .update(readdirSync(join(root, 'dist')).join())
  .update(basename(kernelOptions().customOperators[0] ?? 'no kernels'))
  .digest('hex')
  .slice(0, 12);

export const run = (command, args) =>
  execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 }).toString();

/** The last line of a program's output, as JSON. */
export const runForJson = (command, args) => JSON.parse(run(command, args).trim().split('\n').at(-1));

/** A step of full-step.mjs in a process of its own. */
export const step = (name, ...args) => runForJson(process.execPath, [join(here, 'full-step.mjs'), name, ...args]);

/** The folder of a benchmark's models, below .dino8/, in which what was made is kept. */
export function modelFolder(folder) {
  const at = (...names) => join(root, '.dino8', folder, ...names);
  const notesFile = at('notes.json');
  const readNotes = () => (existsSync(notesFile) ? JSON.parse(readFileSync(notesFile, 'utf8')) : {});

  /** Returns what `make` returned when the file `name` was made by this build of dino8 (or, of a peer, at any time); makes it if need be. */
  function kept(name, isPeer, make) {
    const note = readNotes()[name];
    const isCurrent = existsSync(at(name)) && (isPeer || note?.build === build);
    if (isCurrent) return note?.result;
    process.stderr.write(`making ${name}\n`);
    const result = make();
    writeFileSync(notesFile, JSON.stringify({ ...readNotes(), [name]: { build, result } }, undefined, 1));
    return result;
  }

  /** Lets `make` write into a folder of its own, and then moves `names` from there into the folder `to`. */
  function inNewFolder(to, names, make) {
    const unfinished = at('unfinished');
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    mkdirSync(to, { recursive: true });
    const result = make(unfinished);
    for (const name of names) renameSync(join(unfinished, name), join(to, name));
    rmSync(unfinished, { recursive: true, force: true });
    return result;
  }

  return { at, kept, inNewFolder };
}

const { at: inFull, kept, inNewFolder } = modelFolder('bench-full');
/** The path of a file of bench/full.mjs. */
export const at = inFull;

/** Puts the tokenizer's files into a checkpoint: calibration reads prompts, and which words they have does not matter here. */
export function addTokenizer(checkpoint) {
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(assets, 'nano', name), join(checkpoint, name));
}

/** Hugging Face's export for one size of image, with its inputs and results. The checkpoint comes from the published size. */
export function makeExport(python, { folder = '.', height = 800, width = 1333 } = {}) {
  const isPublished = folder === '.';
  const size = ['--height', String(height), '--width', String(width)];
  const checkpoint = isPublished ? [] : ['--checkpoint', at('hf')];
  const names = ['model.onnx', ...(isPublished ? ['hf'] : []), 'io.safetensors'];
  kept(join(folder, 'io.safetensors'), true, () =>
    inNewFolder(at(folder), names, (to) => void run(python, [peer('export_hf.py'), to, ...size, ...checkpoint])),
  );
  return kept(join(folder, 'dynamic.onnx'), true, () =>
    inNewFolder(at(folder), ['dynamic.onnx'], (to) => {
      const printed = run(python, [peer('quantize_ort.py'), at(folder, 'model.onnx'), join(to, 'dynamic.onnx')]);
      return { seconds: Number(printed.trim().split(' ').at(-1)) };
    }),
  );
}

/** OpenVINO's model and NNCF's INT8 form of it; undefined where they are not installed or fail, with the reason on stderr. */
export function makeOpenvino(python) {
  try {
    return kept('openvino/int8.xml', true, () =>
      inNewFolder(at('openvino'), ['fp32.xml', 'fp32.bin', 'int8.xml', 'int8.bin'], (to) =>
        runForJson(python, [peer('openvino_nncf.py'), at('model.onnx'), at('io.safetensors'), to]),
      ),
    );
  } catch (error) {
    const reason = String(error.stderr ?? error)
      .trim()
      .split('\n')
      .at(-1);
    process.stderr.write(`OpenVINO is left out: ${reason}\n`);
    return undefined;
  }
}

/** The recipes of dino8's models for OpenVINO. */
export const OPENVINO_RECIPES = ['fast', 'static'];

/** The file of dino8's model for OpenVINO by a recipe. */
export const openvinoModel = (recipe) => `int8.openvino.${recipe}.onnx`;

/** dino8's models of the checkpoint; those for OpenVINO only if they are wanted. */
export function makeOwn({ forOpenvino = false } = {}) {
  addTokenizer(at('hf'));
  const shapes = (part) => join(assets, 'shapes', part);
  kept('calib', true, () => step('widen', shapes('calib'), shapes('annotations/instances_calib.json'), at('calib')));
  return {
    converted: kept('fp32.onnx', false, () => step('convert', at('hf'), at('fp32.onnx'))),
    quantized: kept('dynamic8.onnx', false, () => step('quantize', at('fp32.onnx'), at('dynamic8.onnx'))),
    smallest: kept('smallest.onnx', false, () => step('quantize', at('fp32.onnx'), at('smallest.onnx'), 'smallest')),
    calibrated: kept('int8.onnx', false, () => step('calibrate', at('fp32.onnx'), at('int8.onnx'), at('calib'))),
    openvino: (forOpenvino ? OPENVINO_RECIPES : []).map((recipe) =>
      kept(openvinoModel(recipe), false, () =>
        step('calibrate', at('fp32.onnx'), at(openvinoModel(recipe)), at('calib'), recipe, 'openvino'),
      ),
    ),
    specialized: kept('int8.specialized.onnx', false, () =>
      step('specialize', at('int8.onnx'), at('int8.specialized.onnx'), at('io.safetensors')),
    ),
    agreement: kept('agreement.json', false, () => {
      const agreement = step('compare', at('fp32.onnx'), at('io.safetensors'));
      writeFileSync(at('agreement.json'), JSON.stringify(agreement));
      return agreement;
    }),
  };
}
