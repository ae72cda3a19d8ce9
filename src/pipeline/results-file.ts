/** `results.json` of `compress`, as a report reads it: it may come from anywhere, so that everything in it is checked. */
import { z } from 'zod';
import { planSummarySchema } from '../quant/plan-summary.ts';
import type { Provenance } from '../report/provenance.ts';
import type { CompressResult } from './compress-options.ts';
import { agreementSchema, RESULTS_FORMAT } from './compress-options.ts';
import {
  activationsSchema,
  changedCount,
  count,
  detectionSchema,
  estimateSchema,
  estimatesSchema,
  figuresSchema,
  labelsSchema,
  outputFiguresSchema,
  positive,
  publishedSizeSchema,
  secondsSchema,
  shownName,
  toldApartBy,
  variantErrorsSchema,
} from './result-schemas.ts';

const times = z.array(secondsSchema).max(100_000_000).readonly();

const cost = {
  path: z.string(),
  parameters: z.number(),
  bytes: z.number(),
  multiplyAdds: z.number(),
  integerMultiplyAdds: z.number(),
  seconds: z.number().optional(),
};

/** A missing time is stated as such: JSON has no undefined. */
const moduleCost = z.object(cost).transform(({ seconds, ...others }) => ({ ...others, seconds }));
const sensitiveCost = z
  .object({ ...cost, reason: z.string() })
  .transform(({ seconds, ...others }) => ({ ...others, seconds }));

const variantSchema = z
  .object({
    name: shownName,
    description: z.string(),
    file: z.string(),
    modelHash: z.string().optional(),
    fileBytes: positive,
    loadSeconds: secondsSchema,
    peakMemoryBytes: positive,
    medianSeconds: secondsSchema,
    runSeconds: times,
    roundSeconds: times,
    figures: figuresSchema,
    intervals: estimatesSchema,
    change: estimatesSchema.optional(),
    categories: z
      .array(
        z.object({
          id: z.number(),
          name: z.string(),
          AP: z.number(),
          interval: estimateSchema.optional(),
          change: estimateSchema.optional(),
        }),
      )
      .superRefine(toldApartBy('id')),
    plan: planSummarySchema.optional(),
    agreement: agreementSchema.optional(),
    errors: variantErrorsSchema.optional(),
  })
  .transform(({ agreement, ...others }) => ({ ...others, agreement }));

const provenanceSchema: z.ZodType<Provenance> = z.object({
  date: z.iso.datetime(),
  command: z.string().optional(),
  machine: z.object({ processor: z.string(), cores: count, memoryBytes: z.number(), system: z.string() }),
  versions: z.object({ dino8: z.string(), node: z.string(), onnxRuntime: z.string() }),
  threads: count,
  rounds: count,
  runs: count,
  seed: z.number(),
  checkpoint: z.object({
    name: z.string(),
    hash: z.string(),
    network: z.string().optional(),
    weights: z.string().optional(),
  }),
  dataset: labelsSchema,
  calibration: z.object({ name: z.string(), images: count, hash: z.string() }),
});

const recommendationSchema = z.object({
  decision: z.enum(['ship', 'keep', 'none', 'unmeasured', 'meaningless']),
  allowedDrop: z.number(),
  variant: z.string().optional(),
  closest: z.string().optional(),
  judged: z
    .array(
      z
        .object({ name: z.string(), status: z.enum(['within', 'uncertain', 'beyond', 'unknown']).optional() })
        .transform(({ name, status }) => ({ name, status })),
    )
    .superRefine(toldApartBy('name')),
});

/** The form of `results.json`. */
export const resultsSchema: z.ZodType<CompressResult> = z.object({
  format: z.literal(RESULTS_FORMAT, { error: 'it must be a results.json that this version of dino8 compress wrote' }),
  version: z.string(),
  title: shownName,
  summary: z.string(),
  report: z.string(),
  outputFigures: outputFiguresSchema,
  allowedDrop: z.number().min(0).max(100),
  recommendation: recommendationSchema,
  variants: z.array(variantSchema).min(1).max(100).superRefine(toldApartBy('name')),
  images: z
    .array(
      z.object({
        path: z.string().min(1),
        hash: z.string(),
        detections: z
          .array(
            z.object({
              variant: z.string(),
              found: z.array(detectionSchema).max(10_000),
              change: changedCount.optional(),
            }),
          )
          .max(100)
          .superRefine(toldApartBy('variant')),
      }),
    )
    .max(100),
  inspected: z.object({
    name: z.string(),
    inspection: z.object({
      modules: z.array(moduleCost).superRefine(toldApartBy('path')),
      sensitive: z.array(sensitiveCost).superRefine(toldApartBy('path')),
      total: moduleCost,
      uncounted: count,
      plan: planSummarySchema.optional(),
    }),
  }),
  activations: activationsSchema.optional(),
  publishedSize: publishedSizeSchema.optional(),
  provenance: provenanceSchema,
});
