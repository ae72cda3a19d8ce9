// Writes one data set of Pascal VOC in COCO's and YOLO's layout too, and scores the bundled model on each: the figures must be
// the same to the last digit. Usage: node bench/layouts.mjs VOC_FOLDER [IMAGES]
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { bundledModel, evaluate, readDataset, takeImages } from '../dist/index.mjs';

const [voc, count = '40'] = process.argv.slice(2);
if (!voc) throw new Error('Usage: node bench/layouts.mjs VOC_FOLDER [IMAGES]');
const read = takeImages(await readDataset(voc, { split: 'val' }), Number(count));
const folder = mkdtempSync(join(tmpdir(), 'dino8-layouts-'));

/** A folder with the same pictures, the first ones of the split, in Pascal VOC's own layout. */
function writeVoc(root) {
  for (const part of ['JPEGImages', 'Annotations', 'ImageSets/Main']) mkdirSync(join(root, part), { recursive: true });
  const stems = read.images.map((image) => {
    const path = read.pathOf(image);
    const stem = basename(path, extname(path));
    copyFileSync(path, join(root, 'JPEGImages', basename(path)));
    copyFileSync(join(voc, 'Annotations', `${stem}.xml`), join(root, 'Annotations', `${stem}.xml`));
    return stem;
  });
  writeFileSync(join(root, 'ImageSets/Main/val.txt'), `${stems.join('\n')}\n`);
  return root;
}

function writeCoco(root) {
  mkdirSync(join(root, 'images'), { recursive: true });
  for (const image of read.images) copyFileSync(read.pathOf(image), join(root, 'images', basename(read.pathOf(image))));
  const { images, annotations, categories } = read;
  writeFileSync(join(root, 'annotations.json'), JSON.stringify({ images, annotations, categories }));
  return join(root, 'annotations.json');
}

function writeYolo(root) {
  for (const part of ['images/val', 'labels/val']) mkdirSync(join(root, part), { recursive: true });
  const place = new Map(read.categories.map(({ id }, index) => [id, index]));
  for (const image of read.images) {
    const path = read.pathOf(image);
    copyFileSync(path, join(root, 'images/val', basename(path)));
    const lines = read.annotations
      .filter(({ image_id }) => image_id === image.id)
      .map(({ category_id, bbox: [x, y, width, height] }) =>
        [
          place.get(category_id),
          (x + width / 2) / image.width,
          (y + height / 2) / image.height,
          width / image.width,
          height / image.height,
        ].join(' '),
      );
    writeFileSync(join(root, 'labels/val', `${basename(path, extname(path))}.txt`), `${lines.join('\n')}\n`);
  }
  const names = read.categories.map(({ name }) => name);
  writeFileSync(join(root, 'data.yaml'), JSON.stringify({ path: '.', val: 'images/val', names })); // JSON is YAML too
  return join(root, 'data.yaml');
}

try {
  const forms = {
    'Pascal VOC': writeVoc(join(folder, 'voc')),
    COCO: writeCoco(join(folder, 'coco')),
    YOLO: writeYolo(join(folder, 'yolo')),
  };
  const results = [];
  for (const [form, dataset] of Object.entries(forms)) {
    const { images, figures } = await evaluate({ model: bundledModel(), dataset, onNotice: () => undefined });
    console.log(form.padEnd(10), `${images} images`, JSON.stringify(figures));
    results.push(JSON.stringify(figures));
  }
  const isEqual = results.every((each) => each === results[0]);
  console.log(isEqual ? 'The figures are equal.' : `The figures of ${resolve(dirname(voc))} differ.`);
  process.exitCode = isEqual ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
