import { join } from 'node:path';
import { Command, Option } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { megabytes } from '../base/format.ts';
import type { Size } from '../data/size.ts';
import type { WrittenBundle } from '../pipeline/bundles/bundle.ts';
import { exportOpenVino } from '../pipeline/openvino/export-openvino.ts';
import { exportTensorRt } from '../pipeline/tensorrt/export-tensorrt.ts';
import { exportWeb, WEB_RUNTIMES, type WebPage } from '../pipeline/web/export-web.ts';
import { TENSORRT_VERSIONS } from '../quant/targets/tensorrt/versions.ts';
import { BACKENDS } from '../web/manifest.ts';
import { examples } from './examples.ts';
import { maxPixelsOption } from './max-pixels-option.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';
import { work } from './progress-line.ts';
import { addPromptsOptions, noteNames, promptOption, promptsOf } from './prompt-options.ts';
import { emaOption, jsonOption, threadsOption, tokenizerOption, wholeNumber } from './shared-options.ts';

/** `dino8 export` */
export const exportCommand = () =>
  addPromptsOptions(
    addPhraseOptions(
      new Command('export')
        .description(
          'Write a folder that detects without dino8, on a device or as a page in a browser, with a check that compares its boxes with those of dino8. For a device it has models for its runtime, scripts that run them, and pre- and post-processing as data, for TensorRT also scripts that build and measure engines; these models are checked in ONNX Runtime, and nothing is run on a device. For a browser it has all that a web server needs to send, and the model is checked in the runtime of the page.',
        )
        .argument(
          '<model>',
          'a model that dino8 quantized with the same --target (for web: without --target), a float one, or a checkpoint',
        )
        .requiredOption('-o, --output <folder>', 'the folder to write')
        .addOption(
          new Option(
            '--target <runtime>',
            'the runtime of the device; with web, a static page that runs the model in the browser',
          )
            .choices(['tensorrt', 'openvino', 'web'])
            .makeOptionMandatory(),
        )
        .option(
          '--tensorrt <version>',
          `the version of TensorRT on the device, for --target tensorrt: ${TENSORRT_VERSIONS.map(({ name }) => name).join(', ')} (JetPack 5.1 has 8.5, 6.0 has 8.6, 6.1 and 6.2 have 10.3; "dpkg -l libnvinfer-dev" tells)`,
        )
        .option(
          '--sizes <list>',
          'sizes of images, separated by commas, each in multiples of 32 pixels: the side of a square, or height x width as in 480x640. Pictures are stretched to the size, so one of the shape of your pictures is best. Needed for a device; a page has one at most (default for web: the size that the model is made for, or that it was trained for)',
          parseSizes,
        ),
    ),
  )
    .addOption(promptOption())
    .addOption(
      new Option(
        '--backend <name>',
        'with --target web, what runs the model: wasm in every browser, webgpu in browsers that have it, for a model that is not quantized (default: wasm)',
      ).choices(BACKENDS),
    )
    .addOption(
      new Option(
        '--runtime <name>',
        'with --backend wasm, what runs the model: dino8, its own engine of 0.6 MB, or onnxruntime-web, which must be installed (default: dino8 for a model in 8 bits, otherwise onnxruntime-web)',
      ).choices(WEB_RUNTIMES),
    )
    .addOption(
      new Option(
        '--weights <bits>',
        'with --backend webgpu, the bits in which weights are stored: 8, or 4 with 8 in the layers that need them. The download is about a quarter or a sixth, and the model computes in floats (default: floats of 32 bits)',
      ).argParser(bitsOf('--weights', 8, 4)),
    )
    .addOption(
      new Option(
        '--floats <bits>',
        'with --backend webgpu, the bits of the floats in which the model computes: 32 on every graphics processor, 16 on those that have them (shader-f16), with 32 where 16 are too few (default: 32)',
      ).argParser(bitsOf('--floats', 32, 16)),
    )
    .option(
      '--tokens <count>',
      'for a device, keep the text encoder, so that run.py --phrase looks for other phrases there: the length of a prompt in tokens, of which a word takes one or two and a phrase one more (default: the phrases are part of the models, and no others can be looked for)',
      wholeNumber('--tokens'),
    )
    .option(
      '--picture <image>',
      'a picture in which there is what the phrases name, for the check on the device (default: a drawn picture of shapes)',
    )
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(maxPixelsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'dino8 export assets/nano --target tensorrt --tensorrt 10.3 --sizes 192x256 --phrases "red circle, blue square" -o bundle/',
        'dino8 export assets/nano --target openvino --sizes 192x256,320 --phrases "red circle, blue square" -o bundle/',
        'dino8 export assets/nano --target openvino --sizes 192x256 --phrases "red circle" --tokens 32 -o bundle/',
        'dino8 quantize assets/nano --recipe dynamic -o nano.int8.onnx && dino8 export nano.int8.onnx --target web -o site/ && node site/server.mjs',
        'dino8 export assets/nano --target web --backend webgpu --weights 8 -o site/ && node site/server.mjs',
        'dino8 quantize assets/nano --recipe static --calibration assets/shapes/calib --target tensorrt -o nano.trt.onnx && dino8 export nano.trt.onnx --target tensorrt --tensorrt 8.6 --sizes 320,640,1280 --phrases "red circle" -o bundle/',
      ),
    )
    .action(
      async (
        model,
        {
          json,
          phrases,
          phrase,
          phrasesFile,
          prompts,
          promptsFile,
          target,
          tensorrt,
          sizes,
          tokens,
          backend,
          runtime,
          weights,
          floats,
          ...options
        },
      ) => {
        noteNames(phrases);
        const asked = { ...options, model, phrases: await phrasesOf({ phrases, phrase, phrasesFile }), ...work() };
        const named = await promptsOf({ prompts, promptsFile });
        refuseForeign(target, { tensorrt, backend, runtime, weights, floats, tokens, prompts: named });
        if (target === 'web') {
          const page = await exportWeb({
            ...asked,
            prompts: named,
            backend,
            runtime,
            weights,
            floats,
            size: oneSize(sizes),
          });
          if (json) printJson(page);
          else printPage(page);
          return;
        }
        if (!sizes) throw new UsageError(`--target ${target} needs --sizes, as in --sizes 640.`);
        const result =
          target === 'openvino'
            ? await exportOpenVino({ ...asked, sizes, tokens })
            : await exportTensorRt({ ...asked, sizes, tokens, tensorrt: tensorrt ?? '' });
        if (json) printJson(result);
        else printBundle(result, target === 'openvino' ? 'OpenVINO' : `TensorRT ${tensorrt}`);
      },
    );

/** Options of one target, with what they are for. */
const OWN_OPTIONS = {
  tensorrt: [['tensorrt'], 'is the version of another runtime'],
  backend: [['web'], 'is for --target web'],
  runtime: [['web'], 'is for --target web'],
  weights: [['web'], 'is for --target web --backend webgpu'],
  floats: [['web'], 'is for --target web --backend webgpu'],
  tokens: [['tensorrt', 'openvino'], 'is for a device; a page takes any phrases'],
  prompts: [
    ['web'],
    'is for --target web; a folder for a device is made for one prompt, so give its --phrases, or --prompt for a model that has several',
  ],
} as const;

/** @throws UsageError if there is an option of another target */
function refuseForeign(target: string, given: Readonly<Record<keyof typeof OWN_OPTIONS, unknown>>): void {
  for (const [name, [owners, purpose]] of Object.entries(OWN_OPTIONS))
    if (!owners.some((owner) => owner === target) && given[name as keyof typeof OWN_OPTIONS] !== undefined)
      // the names of the table
      throw new UsageError(`--${name} ${purpose}; leave it out with --target ${target}.`);
}

/** The size of a page. @throws UsageError if there are several */
function oneSize(sizes: readonly (number | Size)[] | undefined) {
  if (sizes && sizes.length > 1)
    throw new UsageError(`--sizes has ${sizes.length} sizes, and a page is made for one; name one, or none.`);
  return sizes?.[0];
}

/** A parser of one of two numbers of bits. */
function bitsOf<Bits extends number>(option: string, ...choices: readonly [Bits, Bits]): (text: string) => Bits {
  return (text) => {
    const found = choices.find((bits) => String(bits) === text.trim());
    if (found === undefined) throw new UsageError(`${option} must be ${choices.join(' or ')}, not "${text}".`);
    return found;
  };
}

/** Sizes in a list, such as `320,480x640`. */
function parseSizes(text: string): (number | Size)[] {
  return text.split(',').map((part) => {
    const [, height, width] = /^\s*(\d{1,6})(?:\s*x\s*(\d{1,6}))?\s*$/.exec(part) ?? [];
    if (height === undefined)
      throw new UsageError(
        `--sizes must be a list of sides, such as 320,640, or of heights and widths, such as 480x640; "${part.trim()}" is neither.`,
      );
    return width === undefined ? Number(height) : { height: Number(height), width: Number(width) };
  });
}

function printBundle({ output, bytes, precision, engines, golden }: WrittenBundle, runtime: string): void {
  const names = engines.map(({ name }) => name).join(', ');
  const boxes = golden.reduce((sum, each) => sum + each.boxes, 0);
  print(
    `${output}: ${megabytes(bytes)}, for ${runtime} in ${precision === 'int8' ? 'INT8 and float' : 'float'}, with models for ${names}.`,
  );
  print(
    `In ONNX Runtime its models find the ${boxes} boxes that the model finds in the picture of the check. Run compare.py on the device before you use them.`,
  );
}

function printPage({ output, pageBytes, modelBytes, precision, runtime, golden }: WebPage): void {
  print(`${output}: a page of ${megabytes(pageBytes)} and a model of ${megabytes(modelBytes)} (${precision}).`);
  print(
    `By ${runtime}, ${golden.agreeing} of ${golden.expected} boxes agree with those that the model finds in the picture of the check.`,
  );
  print(`Try it with: node ${join(output, 'server.mjs')}`);
}
