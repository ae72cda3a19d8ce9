// Inputs of the text detector and the recogniser from a folder of photographs, as arrays that every contender reads.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { findLines } from './find-lines.mjs';
import { readArray, writeArray } from './numpy-file.mjs';
import { decode } from './ocr-agreement.mjs';

const SIDE = 640;
const LINE = { height: 48, width: 320 };
/** PaddleOCR drops lines that are read with a lower mean probability (its option `drop_score`). */
const READABLE = 0.5;

/** Pixels [height, width, 3] → [1, 3, height, padded], blue first, normalised, with zeros in the padded columns. */
function normalise(pixels, height, width, padded, mean, std) {
  const data = new Float32Array(3 * height * padded);
  for (let channel = 0; channel < 3; channel++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        data[(channel * height + y) * padded + x] =
          (pixels[(y * width + x) * 3 + (2 - channel)] / 255 - mean[channel]) / std[channel];
  return data;
}

/** `count` of the items, at equal distances. */
function spread(items, count) {
  const step = Math.max(items.length / count, 1);
  return items.filter((_, index) => Math.floor(index / step) !== Math.floor((index - 1) / step));
}

/**
 * Writes the inputs of both models for the pictures of `folder`: the picture for the detector, and for the recogniser lines
 * that the float detector finds in it, at most `lines` of a picture.
 *
 * @param float sessions of both float models, { det, rec }
 * @param onlyReadable true: only lines that the float recogniser reads with a mean probability of at least READABLE
 * @returns { det, rec }, each { folder, files }; a file is { path, picture }, the picture by its number
 */
export async function writeInputs(folder, into, float, { lines, onlyReadable }) {
  const inputs = {};
  for (const kind of ['det', 'rec']) {
    inputs[kind] = { folder: join(into, kind), files: [] };
    rmSync(inputs[kind].folder, { recursive: true, force: true });
    mkdirSync(inputs[kind].folder, { recursive: true });
  }
  const add = (kind, picture, part, data, shape) => {
    const name = [picture, part].map((number) => String(number).padStart(3, '0')).join('-');
    const path = join(inputs[kind].folder, `${name}.npy`);
    writeArray(path, data, shape);
    inputs[kind].files.push({ path, picture });
    return path;
  };
  const names = readdirSync(folder).sort();
  for (const [picture, name] of names.entries()) {
    process.stderr.write(`\r${folder}: ${picture + 1}/${names.length} `);
    const source = sharp(join(folder, name)).autoOrient().toColourspace('srgb').removeAlpha();
    const { data: upright, info } = await source.raw().toBuffer({ resolveWithObject: true });
    const pixels = await sharp(upright, { raw: info }).resize(SIDE, SIDE, { fit: 'fill' }).raw().toBuffer();
    const data = normalise(pixels, SIDE, SIDE, SIDE, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    const path = add('det', picture, 0, data, [1, 3, SIDE, SIDE]);
    const { data: map } = await firstOutput(float.det, path);
    const found = [];
    for (const box of findLines(map, SIDE, SIDE, info)) {
      const width = Math.min(Math.max(Math.round((LINE.height * box.width) / box.height), 16), LINE.width);
      const line = await sharp(upright, { raw: info })
        .extract(box)
        .resize(width, LINE.height, { fit: 'fill' })
        .raw()
        .toBuffer();
      found.push(normalise(line, LINE.height, width, LINE.width, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]));
    }
    let part = 0;
    for (const line of spread(found, onlyReadable ? found.length : lines)) {
      if (part === lines) break;
      const written = add('rec', picture, part, line, [1, 3, LINE.height, LINE.width]);
      if (onlyReadable && decode(await firstOutput(float.rec, written)).probability < READABLE) {
        rmSync(written);
        inputs.rec.files.pop();
      } else part++;
    }
  }
  process.stderr.write('\n');
  return inputs;
}

/** A copy of the first output of a session for the array in a file. */
export async function firstOutput(session, path) {
  const outputs = await session.run({ [[...session.inputs.keys()][0]]: readArray(path) });
  const { data, shape } = outputs.get([...session.outputs.keys()][0]);
  const copy = { data: data.slice(), shape };
  outputs.dispose();
  return copy;
}
