// Scores detections as many as those of COCO's validation images with dino8 and, in the same run, with pycocotools and
// faster-coco-eval: the processor time and the peak memory of each, reading included, and how far the 12 figures are apart.
//   PYTHON=…/bin/python node bench/coco-scoring.mjs [--images 5000] [--boxes 300] [--seed 1] [--write]
// PYTHON is a Python that has both packages; without it dino8 is measured alone. Each runs in a process of its own. Build first. --write puts
// the table into docs/accuracy.md.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededRandom } from './commands.mjs';
import { openTables, readStandard } from './write-table.mjs';

const CATEGORIES = 80;
const STANDARD = { images: '5000', boxes: '300', seed: '1' };
const python = process.env.PYTHON;
const { values: options, settings } = readStandard(STANDARD);
const tables = openTables(['scoring'], {
  write: options.write,
  settings,
  needs: { 'PYTHON, a Python that has pycocotools and faster-coco-eval': existsSync(python ?? '') },
});
const [images, boxes] = [Number(options.images), Number(options.boxes)];
const folder = mkdtempSync(join(tmpdir(), 'dino8-coco-'));
const [labels, detections] = [join(folder, 'labels.json'), join(folder, 'detections.json')];
await writeData(seededRandom(Number(options.seed)));

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const rows = [measure('dino8', process.execPath, here('coco-contender.mjs'))];
if (python)
  for (const name of ['pycocotools', 'faster-coco-eval'])
    rows.push(measure(name, python, here('peers/score_coco.py'), name));
else console.log('The peers are left out: set PYTHON to a Python that has pycocotools and faster-coco-eval.');
rmSync(folder, { recursive: true });

const [ours] = rows;
const apart = ({ figures }) => Math.max(...figures.map((value, index) => Math.abs(value - ours.figures[index])));
console.log(`${images} images, ${images * boxes} boxes, ${CATEGORIES} categories`);
tables.table(
  'scoring',
  ['', 'reading, s', 'scoring, s', 'together, s', 'times dino8', 'peak memory, MB', 'figures apart'],
  rows.map((row) => {
    const seconds = row.reading + row.scoring;
    const times = [row.reading, row.scoring, seconds].map((each) => each.toFixed(1));
    const ratio = (seconds / (ours.reading + ours.scoring)).toFixed(1);
    const difference = row === ours ? '' : apart(row).toExponential(1);
    return [
      row.name,
      ...times,
      ratio,
      (row.memory / 1e6).toLocaleString('en-US', { maximumFractionDigits: 0 }),
      difference,
    ];
  }),
);
tables.finish();

/** Runs a script, which prints its times in seconds of processor time, its memory in bytes and the figures as JSON. */
function measure(name, command, script, ...args) {
  const { status, stdout, stderr } = spawnSync(command, [script, labels, detections, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name} failed: ${stderr}`);
  return { name, ...JSON.parse(stdout.trim().split('\n').at(-1)) };
}

/** Labels of up to 14 objects an image, a few of them crowds, and boxes: most on no object, some near one. */
async function writeData(random) {
  const whole = (below) => Math.floor(random() * below);
  const category = () => 1 + Math.floor(random() ** 2 * CATEGORIES);
  const rounded = (value) => Math.round(value * 1000) / 1000;
  const anyBox = () => {
    const [width, height] = [8 + random() ** 2 * 400, 8 + random() ** 2 * 300];
    return [random() * (640 - width), random() * (480 - height), width, height];
  };
  const nearBox = ([x, y, width, height]) => {
    const move = () => (random() - 0.5) * 0.3;
    return [x + move() * width, y + move() * height, width * (1 + move()), height * (1 + move())];
  };
  const truth = { images: [], annotations: [], categories: [] };
  for (let id = 1; id <= CATEGORIES; id++) truth.categories.push({ id, name: `category ${id}` });
  const out = createWriteStream(detections);
  for (let image = 1; image <= images; image++) {
    truth.images.push({ id: image, width: 640, height: 480, file_name: `${image}.jpg` });
    const objects = Array.from({ length: whole(15) }, () => {
      const bbox = anyBox().map(rounded);
      return {
        image_id: image,
        category_id: category(),
        bbox,
        area: 0.7 * bbox[2] * bbox[3],
        iscrowd: whole(100) === 0 ? 1 : 0,
      };
    });
    for (const object of objects) truth.annotations.push({ id: truth.annotations.length + 1, ...object });
    const lines = Array.from({ length: boxes }, () => {
      const object = random() < 0.15 ? objects[whole(objects.length)] : undefined;
      const bbox = (object ? nearBox(object.bbox) : anyBox()).map(rounded);
      const score = Math.round(1e5 * (object ? 0.3 + 0.7 * random() : random() ** 3)) / 1e5;
      const found = object && random() < 0.9 ? object.category_id : category();
      return JSON.stringify({ image_id: image, category_id: found, bbox, score });
    });
    if (!out.write(`${image === 1 ? '[' : ',\n'}${lines.join(',\n')}`)) await once(out, 'drain');
  }
  out.end(']');
  await once(out, 'finish');
  writeFileSync(labels, JSON.stringify(truth));
}
