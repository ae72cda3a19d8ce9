/** The content of a report with every section, whose names and numbers are like those of real ones. */
import type { ModuleContribution } from '../../evaluate/contribution.ts';
import type { ModuleCost } from '../../evaluate/inspect.ts';
import type { ReportContent } from '../report-content.ts';
import type { Variant } from '../variants.ts';

const cost = (path: string, seconds: number): ModuleCost => ({
  path,
  parameters: 1e6 * seconds,
  bytes: 4e6 * seconds,
  multiplyAdds: 1e11 * seconds,
  integerMultiplyAdds: 5e10 * seconds,
  seconds,
});

const plan = {
  recipe: 'mixed',
  target: 'ort-cpu',
  layers: { float: 5, dynamic: 12, static: 143, 'weight-only': 1, activations: { MatMul: 24 } },
  techniques: ['adaround', 'correct-bias'],
  floatLayers: [{ path: 'model.decoder.layers.*.attention.offsets', count: 6 }],
};

const figures = {
  AP: 0.676,
  AP50: 0.852,
  AP75: 0.712,
  APsmall: 0.431,
  APmedium: 0.702,
  APlarge: -1,
  AR1: 0.401,
  AR10: 0.722,
  AR100: 0.731,
  ARsmall: 0.52,
  ARmedium: 0.75,
  ARlarge: -1,
};

const count = { found: 80, total: 100 };
const changed = { lost: 2, gained: 1 };
const byGroup = <T>(value: T) => ({
  size: { small: value, medium: value, large: value },
  occlusion: { free: value, partly: value, mostly: value },
});
const error = { count: 12, gain: 0.021 };

/** @param seconds the time of a run @param drop the loss in AP, from 0 to 1 */
function variant(name: string, seconds: number, drop: number): Variant {
  const runs = [0.97, 1, 1.06].map((factor) => factor * seconds);
  const around = (value: number, width: number) => ({ value, low: value - width, high: value + width });
  const isReference = drop === 0;
  return {
    name,
    description: 'Static ranges for image features, and dynamic ones where they vary with the text of the prompt.',
    file: `${name}.onnx`,
    fileBytes: isReference ? 689e6 : 181e6,
    peakMemoryBytes: isReference ? 1.9e9 : 1.1e9,
    medianSeconds: seconds,
    runSeconds: runs,
    roundSeconds: runs,
    figures: { ...figures, AP: figures.AP - drop },
    intervals: { AP: around(figures.AP - drop, 0.012) },
    ...(!isReference && { change: { AP: around(-drop, 0.003), AP50: around(-drop, 0.002) }, plan }),
    ...(!isReference && { agreement: { inputs: 32, count: 4800, figures: { overlap: 0.993, score: 0.005 } } }),
    errors: {
      threshold: 0.35,
      analysis: {
        AP50: 0.852,
        causes: {
          classification: error,
          localization: error,
          both: error,
          duplicate: error,
          background: error,
          missed: error,
        },
        falsePositives: 0.031,
        falseNegatives: 0.052,
      },
      groups: byGroup(count),
      confusions: ['white blood cell', 'platelet', 'a rather long name of a category'].map((detected, index) => {
        return { object: 'red blood cell', detected, count: 9 - index };
      }),
      ...(!isReference && {
        change: {
          ...changed,
          groups: byGroup(changed),
          lostMargin: 0.02,
          categories: [{ name: 'red blood cell', ...changed }],
          images: [{ name: 'photographs/a rather long name of a photograph 000000039769.jpg', ...changed }],
        },
      }),
    },
  };
}

const lost = { change: -0.002, interval: { value: -0.002, low: -0.005, high: 0.001 } };

/** @param megabytes what 8 bits save in the file @param seconds what they save in a run */
function saved(name: string, megabytes: number, seconds: number): ModuleContribution {
  const spread = (value: number) => ({ median: value, lowest: 0.9 * value, highest: 1.1 * value });
  return {
    name,
    bytes: { float: 500e6, quantized: 500e6 - 1e6 * megabytes, saved: 1e6 * megabytes, share: megabytes / 496 },
    seconds: { float: spread(0.4), quantized: spread(0.4 - seconds), saved: spread(seconds), share: seconds / 0.32 },
    averagePrecision: lost,
  };
}

/** A number about words, with its interval and its change from another model. */
const known = (value: number) => ({
  value,
  interval: { value, low: value - 0.03, high: value + 0.04 },
  change: -0.004,
  changeInterval: { value: -0.004, low: -0.012, high: 0.003 },
});

/** @param picture a small JPEG file */
export function sampleContent(picture: Uint8Array): ReportContent {
  const variants = [variant('FP32', 0.912, 0), variant('fast', 0.271, 0.001), variant('full', 0.305, 0.0072)];
  const found = [{ phrase: 0, label: 'red blood cell', score: 0.91, box: [10, 12, 80, 60] as const }];
  return {
    title: 'detector-tiny: precisions compared',
    summary: 'Scored on 500 images of val2017, with 80 phrases in one prompt.',
    allowedDrop: 0.5,
    variants,
    images: [
      {
        name: 'a rather long name of a photograph 000000039769.jpg',
        width: 320,
        height: 240,
        bytes: picture,
        mediaType: 'image/jpeg',
        detections: variants.map(({ name }) => ({ variant: name, found })),
      },
    ],
    missingImages: [],
    outputFigures: [
      { key: 'overlap', title: 'overlap', perfect: 1 },
      { key: 'score', title: 'score error', perfect: 0 },
    ],
    inspected: {
      name: 'full',
      inspection: {
        modules: [
          cost('model.backbone.image_encoder.model.encoder.layers.2', 0.12),
          cost('model.text_encoder.encoder.layer.11', 0.02),
        ],
        sensitive: [{ ...cost('model.class_head', 0.001), reason: 'Scores are compared with a threshold.' }],
        total: cost('whole model', 0.14),
        uncounted: 0,
      },
    },
    sensitivity: {
      float: 0.676,
      parts: [
        {
          name: 'model.encoder.layers.0.cross_attention.projection',
          figures: { overlap: 0.981, score: 0.011 },
          loss: 0.019,
          averagePrecision: 0.671,
          drop: 0.5,
          change: { value: -0.005, low: -0.008, high: -0.002 },
        },
      ],
      outputFigures: [
        { key: 'overlap', title: 'overlap', perfect: 1 },
        { key: 'score', title: 'score error', perfect: 0 },
      ],
    },
    mixtures: [
      { float: 0, averagePrecision: 0.671, drop: 0.5, seconds: 0.271 },
      { float: 4, averagePrecision: 0.675, drop: 0.1, seconds: 0.32 },
    ],
    contribution: {
      name: 'detector-tiny',
      contributions: {
        recipe: 'mixed',
        rounds: 5,
        modules: [saved('image backbone', 180, 0.31), saved('text encoder', 320, 0.02), saved('decoder', -4, -0.01)],
        averagePrecision: { images: 100, float: 0.676, quantized: 0.674, whole: lost, together: lost },
      },
    },
    vocabulary: {
      name: 'full',
      against: 'FP32',
      result: {
        images: 100,
        threshold: 0.35,
        notes: ['No image shows a traffic light, so that its phrases have no average precision.'],
        seen: {
          seenCategories: 60,
          unseenCategories: 20,
          seen: known(0.702),
          unseen: known(0.598),
          difference: known(-0.104),
        },
        paraphrases: {
          phrases: [
            {
              category: 'traffic light',
              phrase: 'a signal with three colours beside a road',
              original: known(0.71),
              paraphrased: known(0.322),
              difference: known(-0.388),
            },
          ],
          mean: { original: known(0.71), paraphrased: known(0.322), difference: known(-0.388) },
        },
        absent: [0, 1, 2, 4].map((absent) => ({
          absent,
          phrases: 3.4 + absent,
          falseAlarms: known(0.2 * absent),
          averagePrecision: known(0.7 - absent / 100),
          difference: known(-absent / 100),
        })),
      },
    },
    activations: {
      variant: 'full',
      total: 310,
      values: [
        {
          name: 'model.encoder.layers.0.feed_forward.fc1/Relu:0',
          low: 0,
          high: 3.25,
          minimum: 0,
          maximum: 7.5,
          decibels: 24.1,
          bins: Array.from({ length: 30 }, (_, bin) => ({ low: bin / 4, high: (bin + 1) / 4, count: 2 ** (30 - bin) })),
        },
      ],
    },
    provenance: {
      date: '2026-11-28T21:15:00.000Z',
      command: 'dino8 compress detector-tiny/ coco/val2017 --recipes fast,full -o compressed/',
      machine: { processor: 'Example CPU @ 2.90GHz', cores: 2, memoryBytes: 8e9, system: 'linux x64' },
      versions: { dino8: '0.1.0', node: '20.20.0', onnxRuntime: '1.30.0' },
      threads: 2,
      rounds: 3,
      runs: 20,
      seed: 0,
      checkpoint: { name: 'detector-tiny', hash: 'a'.repeat(64) },
      dataset: {
        name: 'val2017',
        images: 500,
        boxes: 3723,
        categories: 80,
        hash: 'b'.repeat(64),
        categoryHash: 'd'.repeat(64),
      },
      calibration: { name: 'val2017', images: 64, hash: 'c'.repeat(64) },
    },
    sources: ['results.json'],
  };
}
