// The photographs with text that bench/generic.mjs calibrates on and judges by, which belong to four public repositories: EasyOCR and
// RapidOCR (Apache-2.0), gutenye/ocr (MIT) and mmocr (Apache-2.0), among whose test data are ten street scenes of ICDAR 2015.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The paths of the pictures in a folder of clones, OWNER/NAME, with the names that Git has for their contents. */
const PICTURES = {
  calibration: {
    'JaidedAI/EasyOCR/examples/chinese.jpg': '6660aaec7ec18c8c29eb935834e14c2db4f84803',
    'JaidedAI/EasyOCR/examples/english.png': 'f56608592b6ac4ba65e83012e27e39e36331ce00',
    'JaidedAI/EasyOCR/examples/example.png': '7439950b8aa49a5ee1d958b2d68f24d6bc3c11a9',
    'JaidedAI/EasyOCR/examples/example2.png': '8f70f5248510f7db99369329f0afdf28fc3b3d1d',
    'JaidedAI/EasyOCR/examples/example3.png': '8a278d46a7248fe8c715c3b2dd4b283716eec6be',
    'JaidedAI/EasyOCR/examples/french.jpg': '0c3cc4de545dc932926632d296f5ba50e2cc5f6d',
    'JaidedAI/EasyOCR/examples/japanese.jpg': 'ade9bad8964f95acd93a40cbed585e9b28d03d26',
    'JaidedAI/EasyOCR/examples/korean.png': 'd850dc1c22ab153083bb66a901a2358f36d1385a',
    'JaidedAI/EasyOCR/examples/thai.jpg': '9cd31e6c585b94b29bb4fc376d7c191c3495223e',
    'gutenye/ocr/assets/direction.jpg': '635349dc995840cf67936479de7a61adfc022f56',
    'RapidAI/RapidOCR/python/tests/test_files/ch_en_num.jpg': 'd352416515526d7feff05c09a2e010c1969009e4',
    'RapidAI/RapidOCR/python/tests/test_files/check_return_word_len.jpeg': '583553cc34f087606b9112735fce0bfa6523d2fb',
    'RapidAI/RapidOCR/python/tests/test_files/devanagari.jpg': 'b5b29f619c662cfde6a58c8be469df4c1c5bdfa4',
    'RapidAI/RapidOCR/python/tests/test_files/en.jpg': 'bcfe003c17ded6c256010ffb6d0ed214a3597df4',
    'RapidAI/RapidOCR/python/tests/test_files/eslav.jpg': 'ac8059e822ec6d7d20f735b85ab38568410666be',
    'RapidAI/RapidOCR/python/tests/test_files/img_exif_orientation.jpg': '46c078f4e4fd0db94d93f6def9d2771de2bfc978',
    'RapidAI/RapidOCR/python/tests/test_files/japan.jpg': 'cf3df6acd208c0bfe1c2b6737e983deff2c14d87',
    'RapidAI/RapidOCR/python/tests/test_files/korean.jpg': '08c478440402fd26bdfeef3870507b36a164d337',
    'RapidAI/RapidOCR/python/tests/test_files/latin.jpg': 'b7308950bbdcdba889f3b1b6aac827398d3e7f7a',
    'RapidAI/RapidOCR/python/tests/test_files/return_word_debug.jpg': '36efd2d137e5ee0baa5fc47c060a7aaf975ee083',
    'RapidAI/RapidOCR/python/tests/test_files/test_letterbox_like.jpg': '259ff8299f3737b32986687086749aa08a8191e1',
    'RapidAI/RapidOCR/python/tests/test_files/text_vertical_words.png': '6fcd51e180e0cb645857620704c25705b930696a',
  },
  evaluation: {
    'gutenye/ocr/assets/cn-01.jpg': 'ed91b8c5ca2a348fe7b138e83114ff81ecb107de',
    'gutenye/ocr/assets/cn-02.jpg': '119aaa7c45bbf60b95eb8e2c7a1de520ab52315a',
    'gutenye/ocr/assets/en-01.jpg': '245c5573c2a30162161e0419403a86c143513d77',
    'open-mmlab/mmocr/demo/demo_densetext_det.jpg': '62906f6c71fe0595c6bbc3d52bc52052fd16bb02',
    'open-mmlab/mmocr/demo/demo_kie.jpeg': '51014d8e4c0ddfb24a1c353cb074ddd0118ff86d',
    'open-mmlab/mmocr/demo/demo_text_det.jpg': '320e8d424847c5121b99927c7068201946e118e0',
    'open-mmlab/mmocr/demo/demo_text_ocr.jpg': 'a01dd6d72025e46ce40fad5fd29d46835d4e150e',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_1.jpg': 'e260654081192ca3a96d8c6ad21a2f2df6f19c4f',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_2.jpg': '32275ce062e3e89f607beeba199be2a8eee55f22',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_3.jpg': 'b6c1292604b6149774d946ccc997b6ce732bf2bf',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_4.jpg': '413de43fc1a02d0bfbeaa3913aed995aefae7b15',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_5.jpg': '873f4ac24e2adbfa710ed64cc20f3217dfed2e7c',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_6.jpg': '2d8e7471864c44581ff49a87898de036213fde8c',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_7.jpg': 'efd7d9b07e782148d9209a6450ea2b6a943a6b43',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_8.jpg': '897050002223db3af03da70c493f6bf4b63fd1da',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_9.jpg': '975f5c4b39b8ab189ee7add8e36a59b32ec87360',
    'open-mmlab/mmocr/tests/data/det_toy_dataset/imgs/test/img_10.jpg': 'f89491643c62117e72d9969d0e6b1f116c7f7133',
    'open-mmlab/mmocr/tests/data/kie_toy_dataset/wildreceipt/1.jpeg': '098177afcec23d703196e102e7318d0b326d84fe',
  },
};

/** Git's name for a content (git hash-object). */
const nameOf = (bytes) => createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

/**
 * Copies the pictures of `purpose` from the clones into a folder, in their order.
 *
 * @throws an Error of one sentence if one is missing or another one
 */
export function copyPictures(purpose, clones, into) {
  rmSync(into, { recursive: true, force: true });
  mkdirSync(into, { recursive: true });
  for (const [index, [path, name]] of Object.entries(PICTURES[purpose]).entries()) {
    const [owner, repository] = path.split('/');
    const file = join(clones, path);
    if (!existsSync(file))
      throw new Error(
        `${file} does not exist; clone github.com/${owner}/${repository} into ${join(clones, owner, repository)}.`,
      );
    const bytes = readFileSync(file);
    if (nameOf(bytes) !== name)
      throw new Error(
        `${file} is another picture than that of the tables; check out a commit with Git's object ${name}.`,
      );
    writeFileSync(join(into, `${String(index).padStart(2, '0')}-${basename(path)}`), bytes);
  }
  return into;
}
