/** Data sets as tools write them. The figures of `variants.json` are pycocotools' (bench/peers/make_dataset_golden.py). */
import { mkdtempSync, readFileSync, realpathSync } from 'node:fs';
import { copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../../base/errors.ts';
import { packageRoot } from '../../base/package-root.ts';
import { averagePrecision } from '../../evaluate/average-precision.ts';
import type { CocoDataset } from '../coco.ts';
import { boxOfOutline } from './box-of-outline.ts';
import { checkExistence, checkPictures } from './check-pictures.ts';
import { readDataset } from './read-dataset.ts';
import { xmlDepth } from './xml-depth.ts';

const PICTURES = join(packageRoot, 'assets/shapes/val');

interface Variants {
  pictures: string[];
  detections: { file: string; category: string; bbox: [number, number, number, number]; score: number }[];
  variants: { name: string; file: string; folder: string; text: string; refused: boolean; figures?: number[] }[];
}
const golden: Variants = JSON.parse(readFileSync(join(packageRoot, 'test/fixtures/datasets/variants.json'), 'utf8'));

const root = realpathSync(mkdtempSync(join(tmpdir(), 'dino8-datasets-')));
const at = (...parts: string[]) => join(root, ...parts);
afterAll(() => rm(root, { recursive: true, force: true }));

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

async function copyPictures(folder: string, names = golden.pictures): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of names) await copyFile(join(PICTURES, name), join(folder, name));
}

async function writeVariant({ name, file, folder, text }: Variants['variants'][number]): Promise<string> {
  await write(at(name, file), text);
  for (const picture of golden.pictures) await write(at(name, folder, picture), '');
  return at(name);
}

const variantOf = (name: string) => {
  const found = golden.variants.find((each) => each.name === name);
  if (!found) throw new Error(`no variant ${name}`);
  return found;
};

/** The golden detections with the ids of a data set. */
function detectionsFor({ images, categories }: CocoDataset) {
  const nameOf = (file: string) => basename(decodeURIComponent(file).replaceAll('\\', '/')).toLowerCase();
  return golden.detections.map(({ file, category, bbox, score }) => ({
    image_id: images.find(({ file_name }) => nameOf(file_name) === file)?.id ?? -1,
    category_id: categories.find(({ name }) => name === category)?.id ?? -1,
    bbox,
    score,
  }));
}

describe('annotations in the format of COCO score as in pycocotools', () => {
  test.each(golden.variants.filter(({ refused }) => !refused).map((variant) => [variant.name, variant] as const))(
    '%s',
    async (_, variant) => {
      const dataset = await checkExistence(await readDataset(await writeVariant(variant)));
      const figures = Object.values(averagePrecision(dataset, detectionsFor(dataset)).figures);
      for (const [index, expected] of (variant.figures ?? []).entries())
        expect(figures[index], `figure ${index}`).toBeCloseTo(expected, 9);
    },
  );
});

test.each([
  ['dup_image_ids', /two images have the id 1/],
  ['dup_cat_ids', /two categories have the id 1/],
  ['nested_list', /has a list at its top/],
])('%s is refused by name', async (name, message) => {
  await expect(readDataset(await writeVariant(variantOf(name)))).rejects.toThrow(message);
});

test('several annotation files are listed, and the caller chooses by file or by split', async () => {
  const { text } = variantOf('ok');
  await copyPictures(at('several'));
  for (const name of ['_annotations.coco.json', 'annotations_without_background.json'])
    await write(at('several', name), text);
  await expect(readDataset(at('several'))).rejects.toThrow(/_annotations\.coco\.json.*annotations_without_background/);
  const chosen = await readDataset(at('several'), { annotations: at('several/_annotations.coco.json') });
  expect(chosen.images).toHaveLength(4);

  for (const split of ['train', 'valid']) {
    await copyPictures(at('roboflow', split));
    await write(at('roboflow', split, '_annotations.coco.json'), text);
  }
  await expect(readDataset(at('roboflow'))).rejects.toThrow(UsageError);
  const valid = await readDataset(at('roboflow'), { split: 'valid' });
  expect(valid.images.map(valid.pathOf)).toEqual(golden.pictures.map((name) => at('roboflow/valid', name)));
});

test('the pictures of a JSON file are found by the layout, or below the folder that is named', async () => {
  const { text } = variantOf('ok');
  await write(at('alone/labels.json'), text);
  await copyPictures(at('elsewhere'));
  const dataset = await readDataset(at('alone/labels.json'), { imagesRoot: at('elsewhere') });
  expect(dataset.images.map(dataset.pathOf)).toEqual(golden.pictures.map((name) => at('elsewhere', name)));
  await expect(readDataset(at('alone/labels.json')).then(checkExistence)).rejects.toThrow(
    /4 of 4 pictures .*do not exist/,
  );
});

test('a link that leads out of the folder is refused unless its folder is named', async () => {
  const { text } = variantOf('ok');
  await copyPictures(at('store'));
  await write(at('linked/labels.json'), text);
  for (const name of golden.pictures) await symlink(at('store', name), at('linked', name));
  await expect(readDataset(at('linked')).then(checkExistence)).rejects.toThrow(/leads out of .*linked; refused/);
  expect((await readDataset(at('linked'), { imagesRoot: at('store') })).images).toHaveLength(4);
  // A link within the folder is as good as a file.
  await copyPictures(at('within/store'));
  await write(at('within/labels.json'), text);
  for (const name of golden.pictures) await symlink(at('within/store', name), at('within', name));
  const within = await readDataset(at('within'));
  await expect(checkExistence(within)).resolves.toBe(within);
});

test('a file of labels that is a link out of its folder is refused, since it could be any file', async () => {
  const { text } = variantOf('ok');
  await write(at('links-secret/file'), text);
  const links = ['links-coco/labels.json', 'links-above/annotations/instances_val.json', 'links-voc/Annotations/x.xml'];
  links.push('links-split/ImageSets/Main/val.txt', 'links-yolo/classes.txt', 'links-yaml/data.yaml');
  await write(at('links-yaml/images/x.jpg'), '');
  await write(at('links-yolo/labels/x.txt'), '');
  await write(at('links-yolo/images/x.jpg'), '');
  await write(at('links-voc/JPEGImages/x.jpg'), '');
  await write(at('links-split/Annotations/x.xml'), '<annotation/>');
  await write(at('links-split/JPEGImages/x.jpg'), '');
  await mkdir(at('links-above/val'), { recursive: true });
  await write(at('links-secret/data.yaml'), 'names: [x]\nval: images\n');
  for (const link of links) {
    await mkdir(dirname(at(link)), { recursive: true });
    await symlink(at(link.endsWith('yaml') ? 'links-secret/data.yaml' : 'links-secret/file'), at(link));
    const [folder = ''] = link.split('/');
    const named = folder === 'links-above' ? 'links-above/val' : folder;
    await expect(readDataset(at(named)), link).rejects.toThrow(/is a link that leads out of \S*; refused/);
  }
  // A link within the folder, and a file that is named, are read.
  await write(at('links-kept/store/labels.json'), text);
  await symlink('store/labels.json', at('links-kept/labels.json'));
  expect((await readDataset(at('links-kept'))).images).toHaveLength(4);
  expect((await readDataset(at('links-coco/labels.json'))).images).toHaveLength(4);
});

test.each([
  ['<a><b/><b><c/></b></a>', 2],
  ['<!-- <a><a> --><a><![CDATA[<a><a>]]></a><?p <a>?>', 1],
  ['<a b="/>" c=\'>\'><a d="</"><a/></a></a>', 2],
  ['<!DOCTYPE a [<!ENTITY b "</</">]><a><a></a></a>', 2],
  ['<a><a><!-- ', 2],
  ['', 0],
])('the elements of %s are %i deep', (text, depth) => {
  expect(xmlDepth(text)).toBe(depth);
});

test('boxes of negative width are counted as what pycocotools never finds', async () => {
  const data = JSON.parse(variantOf('ok').text);
  const [first] = data.annotations;
  await write(
    at('reversed/labels.json'),
    JSON.stringify({ ...data, annotations: [first, { ...first, id: 99, bbox: [9, 9, -2, 3] }] }),
  );
  await copyPictures(at('reversed'));
  const notices: string[] = [];
  const dataset = await readDataset(at('reversed'), { onNotice: (sentence) => notices.push(sentence) });
  expect(notices).toContainEqual(
    expect.stringMatching(/: 1 annotations have a box of negative width or height, and are never/),
  );
  const [found] = dataset.annotations;
  const score = averagePrecision(dataset, [
    { image_id: found?.image_id ?? 0, category_id: found?.category_id ?? 0, bbox: [7, 9, 2, 3], score: 1 },
  ]);
  expect(score.figures.AP50).toBe(0);
});

test('two names that find the same picture are refused', async () => {
  const data = JSON.parse(variantOf('ok').text);
  data.images[0].file_name = 'a/x.jpg';
  data.images[1].file_name = 'b/x.jpg';
  await write(at('same/labels.json'), JSON.stringify(data));
  await write(at('same/x.jpg'), '');
  await expect(readDataset(at('same'))).rejects.toThrow(/a\/x\.jpg and b\/x\.jpg both find/);
});

test('missing and damaged pictures are counted before work begins, and left out if asked', async () => {
  await copyPictures(at('gaps'));
  await write(at('gaps/labels.json'), variantOf('ok').text);
  const [first = '', second = ''] = golden.pictures;
  await rm(at('gaps', first));
  const dataset = await readDataset(at('gaps'));
  await expect(checkPictures(dataset)).rejects.toThrow(new RegExp(`1 of 4 pictures .*${first}`));
  const bytes = readFileSync(join(PICTURES, second));
  await writeFile(at('gaps', second), bytes.subarray(0, bytes.length / 2));
  const left: string[] = [];
  const some = { skipUnreadable: true, onNotice: (sentence: string) => left.push(sentence) };
  expect((await checkPictures(dataset, some)).images.map(({ file_name }) => file_name)).toEqual(
    golden.pictures.slice(2),
  );
  expect(left).toHaveLength(2);
  await copyFile(join(PICTURES, first), at('gaps', first));
  await expect(checkPictures(dataset)).rejects.toThrow(InputError);
  const told: string[] = [];
  expect((await checkPictures(dataset, { onLeftOut: (sentence) => told.push(sentence) })).images).toHaveLength(3);
  expect(told).toEqual([expect.stringContaining(second)]);
});

test('labels that were made on unrotated pictures are told, and taken so if asked', async () => {
  const { default: sharp } = await import('sharp');
  await mkdir(at('turned'));
  for (const name of golden.pictures)
    await sharp(join(PICTURES, name)).withMetadata({ orientation: 6 }).toFile(at('turned', name));
  await write(at('turned/labels.json'), variantOf('ok').text);
  const notices: string[] = [];
  const onNotice = (sentence: string) => notices.push(sentence);
  const upright = await checkPictures(await readDataset(at('turned')), { onNotice });
  expect(upright.images[0]).toMatchObject({ width: 192, height: 256 });
  expect(notices).toEqual([expect.stringMatching(/^4 of 4 .*`ignoreOrientation`/)]);
  notices.length = 0;
  const stored = await checkPictures(await readDataset(at('turned'), { ignoreOrientation: true }), { onNotice });
  expect(stored.images[0]).toMatchObject({ width: 256, height: 192 });
  expect(notices).toEqual([]);
});

test('the box of an outline is that of pycocotools', () => {
  // pycocotools.mask.encode of masks, and toBbox of the results.
  const cases = [
    [{ size: [5, 7], counts: ';230009' }, [2, 1, 3, 2]],
    [{ size: [5, 7], counts: [11, 2, 3, 2, 3, 2, 12] }, [2, 1, 3, 2]],
    [{ size: [400, 300], counts: 'RW11l:1SYc3' }, [3, 0, 2, 400]],
  ] as const;
  for (const [mask, box] of cases) expect(boxOfOutline(mask)).toEqual(box);
  expect(boxOfOutline([[10, 20, 30, 20, 30, 60]])).toEqual([10, 20, 20, 40]);
  expect(boxOfOutline({ size: [1 << 20, 1 << 20], counts: [1] })).toBeUndefined();
});

describe('YOLO', () => {
  const yaml = 'path: .\ntrain: images/train\nval: images/val\nnames: {0: red circle, 1: blue square}\n';
  const label = (name: string) => name.replace('.jpg', '.txt');
  const [a = '', b = '', c = '', d = ''] = golden.pictures; // of 256x192
  const prepare = async (name: string, files: Readonly<Record<string, string>> = {}) => {
    await copyPictures(at(name, 'images/val'));
    await copyPictures(at(name, 'images/train'), [a]);
    await write(at(name, 'data.yaml'), yaml);
    for (const [file, text] of Object.entries(files)) await write(at(name, file), text);
    return at(name);
  };

  test('boxes, polygons, empty, missing and doubled labels by the rules of Ultralytics', async () => {
    const notices: string[] = [];
    const folder = await prepare('yolo', {
      [`labels/val/${label(a)}`]: '0 0.5 0.5 0.25 0.25\n1 0.25 0.25 0.75 0.25 0.75 0.5\n',
      [`labels/val/${label(b)}`]: '',
      [`labels/val/${label(c)}`]: '1 0.5 0.5 1 1\n1 0.5 0.5 1.0 1.0\n',
    });
    const dataset = await readDataset(folder, { onNotice: (sentence) => notices.push(sentence) });
    expect(dataset.images.map(dataset.pathOf)).toEqual([a, b, c, d].map((name) => join(folder, 'images/val', name)));
    expect(dataset.categories).toEqual([
      { id: 0, name: 'red circle' },
      { id: 1, name: 'blue square' },
    ]);
    expect(dataset.annotations.map(({ image_id, category_id, bbox }) => [image_id, category_id, bbox])).toEqual([
      [1, 0, [96, 72, 64, 48]],
      [1, 1, [64, 48, 128, 48]],
      [3, 1, [0, 0, 256, 192]],
    ]);
    expect(notices).toEqual([
      expect.stringMatching(/split val is read/),
      expect.stringMatching(/1 pictures have no file of labels/),
      expect.stringMatching(/1 labels occur twice/),
    ]);
    const train = await readDataset(join(folder, 'data.yaml'), { purpose: 'training' });
    expect(train.images).toHaveLength(1);
  });

  test.each([
    ['a class out of range', `labels/val/${label(a)}`, '2 0.5 0.5 0.1 0.1', /line 1: the class 2 is not one of the 2/],
    ['pixels in place of fractions', `labels/val/${label(a)}`, '0 50 50 10 10', /not between 0 and 1/],
    ['too few numbers', `labels/val/${label(a)}`, '0 0.5 0.5 0.1', /is no label/],
    ['another number of names', 'data.yaml', 'val: images/val\nnc: 3\nnames: [a, b]\n', /nc: 3, but names has 2/],
    ['a gap in the names', 'data.yaml', 'val: images/val\nnames: {0: a, 2: b}\n', /none of the number 1/],
    ['a split that is not there', 'data.yaml', 'val: images/test\nnames: [a]\n', /images\/test does not exist/],
    ['a folder outside', 'data.yaml', `val: ${PICTURES}\nnames: [a]\n`, /leads out of/],
  ])('%s is refused', async (name, file, text, message) => {
    const folder = await prepare(`yolo-${name}`, { [file]: text });
    await expect(readDataset(join(folder, 'data.yaml'))).rejects.toThrow(message);
  });

  test('a file that is damaged is named with what is wrong', async () => {
    const folder = await prepare('yolo-damaged', { 'data.yaml': 'names: [x\n' });
    await expect(readDataset(folder)).rejects.toThrow(/data\.yaml is not valid YAML \(.* at line \d+, column \d+\)\.$/);
    await writeFile(join(folder, 'data.yaml'), 'names: [x]\nnames: [y]\nval: images/val\n');
    await expect(readDataset(folder)).rejects.toThrow(/data\.yaml is not valid YAML \(Map keys must be unique/);
  });

  test.each([
    ['a text file with paths', `val: list.txt\nnames: [x, y]\n`],
    ['a list of folders', `val: [images/val, images/train]\nnames: [x, y]\n`],
    ['the folder that Roboflow writes', `val: ../images/val\nnames: ['x', 'y']\nnc: 2\n`],
    ['a folder of another machine', `path: /another/machine\nval: images/val\nnames: [x, y]\n`],
  ])('%s', async (name, text) => {
    const folder = await prepare(`yolo-${name}`, {
      'data.yaml': text,
      'list.txt': golden.pictures.map((each) => `./images/val/${each}\n`).join(''),
      [`labels/val/${label(a)}`]: '1 0.5 0.5 0.5 0.5\n',
    });
    const dataset = await readDataset(folder);
    expect(dataset.images.length).toBe(name === 'a list of folders' ? 5 : 4);
    expect(dataset.annotations).toHaveLength(1);
  });
});

describe('Pascal VOC', () => {
  const object = (name: string, corners: readonly number[], difficult = 0) => {
    const edges = ['xmin', 'ymin', 'xmax', 'ymax'].map((edge, index) => `<${edge}>${corners[index]}</${edge}>`);
    return `<object><name>${name}</name><difficult>${difficult}</difficult><bndbox>${edges.join('')}</bndbox></object>`;
  };
  const xml = (name: string, objects: string) =>
    `<annotation><filename>${name}</filename><size><width>256</width><height>192</height><depth>3</depth></size>${objects}</annotation>`;
  const stem = (name: string) => name.replace('.jpg', '');
  const [a = '', b = ''] = golden.pictures;

  test('boxes count pixels from 1, as in detectron2 and in the JSON files of VOC, and difficult objects are crowds', async () => {
    await copyPictures(at('voc/JPEGImages'), [a, b]);
    // The first object of 000012.xml of VOC 2007, which its JSON file has as [155, 96, 196, 174] with the area 34104.
    await write(at(`voc/Annotations/${stem(a)}.xml`), xml(a, object('car', [156, 97, 351, 270])));
    await write(at(`voc/Annotations/${stem(b)}.xml`), xml(b, object('boat', [1, 1, 256, 192], 1)));
    await write(at('voc/ImageSets/Main/train.txt'), `${stem(a)}\n`);
    await write(at('voc/ImageSets/Main/val.txt'), `${stem(b)}\n`);
    await write(at('voc/ImageSets/Main/car_train.txt'), `${stem(a)}  1\n`);
    const train = await readDataset(at('voc'), { split: 'train' });
    expect(train.categories.map(({ name }) => name)).toEqual(['boat', 'car']);
    expect(train.annotations).toEqual([
      { id: 1, image_id: 1, category_id: 2, bbox: [155, 96, 196, 174], area: 34104, iscrowd: 0 },
    ]);
    const val = await readDataset(at('voc'));
    expect(val.images.map(val.pathOf)).toEqual([at('voc/JPEGImages', b)]);
    expect(val.annotations).toMatchObject([{ bbox: [0, 0, 256, 192], iscrowd: 1 }]);
    await expect(readDataset(at('voc'), { split: 'test' })).rejects.toThrow(/no split test; its splits are train, val/);
  });

  test('XML files beside the pictures', async () => {
    await copyPictures(at('beside'), [a]);
    await write(at(`beside/${stem(a)}.xml`), xml('other.jpg', object('car', [1, 1, 20, 20])));
    const dataset = await readDataset(at('beside'));
    expect(dataset.images.map(dataset.pathOf)).toEqual([at('beside', a)]);
  });

  test.each([
    ['an entity', '<!DOCTYPE x [<!ENTITY e "eeeeeeee">]><annotation>&e;</annotation>', /no valid XML|not valid XML/],
    ['deep elements', '<annotation>'.repeat(100_000), /not valid XML .*its elements are nested too deep/],
    [
      'a deep name',
      xml(a, object('<a>'.repeat(3000) + '</a>'.repeat(3000), [1, 1, 2, 2])),
      /its elements are nested too deep/,
    ],
    ['corners that changed places', xml(a, object('car', [20, 1, 10, 5])), /object 1, car, ends before it begins/],
    ['a box without an edge', xml(a, '<object><name>car</name></object>'), /has no number xmin/],
    ['another root', '<a/>', /root is not <annotation>/],
  ])('%s is refused', async (name, text, message) => {
    await copyPictures(at(name), [a]);
    await write(at(name, `${stem(a)}.xml`), text);
    await expect(readDataset(at(name))).rejects.toThrow(message);
  });
});
