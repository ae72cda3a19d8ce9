/** The step from a checkpoint to an ONNX model in 32-bit floating point. */
import { type OptionSchemas, oneOf, optional, text } from '../base/check-options.ts';
import { sizeOf } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type ReadOptions, readSchemas, writePackage } from '../models/package/package.ts';
import type { FolderForm } from '../models/package/package-folder.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { checkOwnTable } from './check-model.ts';
import { modelSchema, overwriteSchemas, threadSchemas, workSchemas } from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { type ModelSource, openModel } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `convert`. */
export interface ConvertOptions extends WorkOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** A Hugging Face folder, one file of weights with the tokenizer's files beside it, or a model that was read before. */
  readonly checkpoint: ModelSource;
  /** The path to write: one ONNX file if it ends in `.onnx`, otherwise a folder. */
  readonly output: string;
  /**
   * The form of a folder: `halves` writes the text half and the image half as two files, `combined` writes one graph
   * where transformers.js looks for it. `halves` by default; a single ONNX file has no form.
   */
  readonly layout?: FolderForm | undefined;
}

const schemas: OptionSchemas<ConvertOptions> = {
  ...workSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  checkpoint: modelSchema,
  output: text,
  layout: optional(oneOf(['combined', 'halves'])),
};

/** The model that a step wrote. */
export interface WrittenModel {
  /** Its path. */
  readonly output: string;
  /** The size of the file, or of all files of the folder. */
  readonly bytes: number;
}

/**
 * Builds the ONNX model of a checkpoint and writes it with its configuration, tokenizer and preprocessing inside.
 *
 * @throws UsageError or InputError if the checkpoint cannot be read or the output cannot be written, or if it is a model that the runtime
 * which it was quantized for refuses or miscomputes
 * @example
 * const { bytes } = await convert({ checkpoint: 'grounding-dino-tiny/', output: 'tiny.onnx' });
 */
export async function convert(options: ConvertOptions): Promise<WrittenModel> {
  return runStep('convert', schemas, options, async () => {
    const { checkpoint, output, layout = 'halves', signal, overwrite } = options;
    await checkStepFiles({
      outputs: [],
      modelOutput: output,
      models: [checkpoint],
      tokenizer: options.tokenizer,
      overwrite,
    });
    const model = await openModel(checkpoint, options);
    signal?.throwIfAborted();
    checkOwnTable(model.model, output);
    await writePackage(model, output, layout);
    return { output, bytes: await sizeOf(output) };
  });
}
