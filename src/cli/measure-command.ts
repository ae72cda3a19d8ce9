import { Command } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { megabytes, milliseconds } from '../base/format.ts';
import { MEASURE_DEFAULTS, measure, measureInputs } from '../pipeline/measure-step.ts';
import { deviceOption } from './device-option.ts';
import { examples } from './examples.ts';
import { interruption } from './interruption.ts';
import { maxPixelsOption } from './max-pixels-option.ts';
import { notice } from './notices.ts';
import { print, printJson } from './output.ts';
import { addPhraseOptions, phrasesOf } from './phrase-options.ts';
import { addPictureOptions, separatePictures, shapeOption } from './picture-options.ts';
import { work } from './progress-line.ts';
import { emaOption, jsonOption, threadsOption, tokenizerOption, wholeNumber } from './shared-options.ts';

/** `dino8 measure` */
export const measureCommand = () =>
  addPictureOptions(
    addPhraseOptions(
      new Command('measure')
        .description(
          'Measure the latency of a model on one image, and the peak memory of the process. A detector needs phrases.',
        )
        .argument('<model>', 'any ONNX file, a folder that dino8 wrote, or a checkpoint')
        .argument(
          '[input]',
          'a picture; for a model that is no detector of dino8 also a file of arrays, or nothing to run on zeros',
        ),
    )
      .option(
        '--runs <count>',
        'number of timed runs, after a few that are not timed',
        wholeNumber('--runs'),
        MEASURE_DEFAULTS.runs,
      )
      .addOption(deviceOption())
      .addOption(shapeOption()),
  )
    .addOption(emaOption())
    .addOption(tokenizerOption())
    .addOption(threadsOption())
    .addOption(maxPixelsOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples('dino8 measure assets/nano assets/shapes/val/000082.jpg --phrases "white star, orange ring"'),
    )
    .action(async (model, image, { json, phrases: list, phrase, phrasesFile, shape, ...given }) => {
      const phrases = await phrasesOf({ phrases: list, phrase, phrasesFile });
      const progress = json ? { signal: interruption(), onNotice: notice } : work();
      const { pictures, others: options } = separatePictures(given);
      if (phrases !== undefined && (image === undefined || shape || pictures))
        throw new UsageError('--phrases is for detectors of dino8, which need an image and no --shape or --mean.');
      const result =
        phrases !== undefined && image !== undefined
          ? await measure({ ...options, model, image, phrases, ...progress })
          : await measureInputs({ ...options, model, inputs: image, pictures, shapes: shape, ...progress });
      if (json) return printJson(result);
      const fastest = milliseconds(Math.min(...result.runSeconds));
      print(
        `${milliseconds(result.medianSeconds)} median of ${options.runs} runs (minimum ${fastest}), ${megabytes(result.peakMemoryBytes)} peak memory, ${result.threads} threads`,
      );
    });
