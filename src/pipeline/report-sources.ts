/** The results of which a report is made: files or objects, recognised by what they say of themselves. */
import { basename } from 'node:path';
import { z } from 'zod';
import { InputError } from '../base/errors.ts';
import { readJson } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';
import type { BenchResult } from './bench-step.ts';
import { type CompressResult, RESULTS_FORMAT } from './compress-options.ts';
import type { ContributionResult } from './contribution-step.ts';
import type { ErrorsResult } from './errors-step.ts';
import type { MeasureResult } from './measure-step.ts';
import { RESULT_FORMAT, RESULT_KINDS, type ResultOrigin } from './result-origin.ts';
import {
  contributionSchema,
  count,
  errorAnalysisSchema,
  estimateSchema,
  estimatesSchema,
  figuresSchema,
  foundByIdsSchema,
  identitySchema,
  labelsSchema,
  outputFiguresSchema,
  positive,
  secondsSchema,
  shownName,
  toldApartBy,
  vocabularySchema,
} from './result-schemas.ts';
import { resultsSchema } from './results-file.ts';
import type { ScoreResult } from './score-step.ts';
import type { SensitivityResult } from './sensitivity-step.ts';
import type { TuneResult } from './tune-step.ts';
import type { VocabularyResult } from './vocabulary-step.ts';

/** A result, by the path of its file or as the step returned it. */
export type ResultSource =
  | string
  | CompressResult
  | ScoreResult
  | ErrorsResult
  | BenchResult
  | MeasureResult
  | SensitivityResult
  | TuneResult
  | ContributionResult
  | VocabularyResult;

/** What a result is called. */
interface Named {
  /** The path of the file, or what stands for it in messages. */
  readonly source: string;
  /** The name of the file, which the report shows; empty for a result that was given as an object. */
  readonly file: string;
}

/** A result of `compress`. */
interface CompressPart extends Named {
  readonly kind: 'compress';
  readonly result: CompressResult;
}

const originSchema: z.ZodType<ResultOrigin> = z.object({
  format: z.literal(RESULT_FORMAT),
  kind: z.enum(RESULT_KINDS),
  version: z.string(),
  subject: shownName,
  detections: shownName.optional(),
  against: shownName.optional(),
  network: z.string().optional(),
  weights: z.string().optional(),
  modelHash: z.string().optional(),
  detectionsHash: z.string().optional(),
  againstHash: z.string().optional(),
  dataset: labelsSchema.optional(),
});

const spread = z.object({ median: positive, lowest: positive, highest: positive });
const mixture = z.object({
  float: count,
  averagePrecision: z.number().optional(),
  interval: estimateSchema.optional(),
  change: estimateSchema.optional(),
  drop: z.number(),
  seconds: secondsSchema,
});

/** The form of each kind of result, as far as a report shows it. */
const schemas = {
  score: z.object({
    images: count,
    figures: figuresSchema,
    intervals: estimatesSchema,
    change: estimatesSchema.optional(),
  }),
  errors: z.object({
    threshold: z.number(),
    errors: errorAnalysisSchema,
    ...foundByIdsSchema,
  }),
  bench: z.object({
    rounds: count,
    runs: count,
    threads: count,
    models: z
      .array(
        z.object({
          // A path; none is longer on Linux.
          model: z.string().min(1).max(4096),
          identity: identitySchema.optional(),
          bytes: count,
          seconds: spread,
          roundSeconds: z.array(secondsSchema).max(1000),
          peakMemoryBytes: count,
        }),
      )
      .min(1)
      .max(100),
  }),
  measure: z.object({
    runSeconds: z.array(secondsSchema).min(1).max(1_000_000),
    medianSeconds: secondsSchema,
    peakMemoryBytes: count,
    threads: count,
  }),
  sensitivity: z.object({
    float: z.number().optional(),
    floatInterval: estimateSchema.optional(),
    parts: z
      .array(
        z.object({
          name: z.string(),
          figures: z.record(z.string(), z.number()),
          loss: z.number(),
          averagePrecision: z.number().optional(),
          drop: z.number().optional(),
          interval: estimateSchema.optional(),
          change: estimateSchema.optional(),
        }),
      )
      .max(100_000)
      .superRefine(toldApartBy('name')),
    outputFigures: outputFiguresSchema,
  }),
  contribution: contributionSchema,
  vocabulary: vocabularySchema,
  tune: z.object({ chosen: mixture, mixtures: z.array(mixture).min(1).max(10_000) }),
} as const;

/** A result of another step than `compress`. */
export type StepPart = {
  [Kind in ResultOrigin['kind']]: Named & {
    readonly kind: Kind;
    readonly origin: ResultOrigin;
    readonly result: z.output<(typeof schemas)[Kind]>;
  };
}[ResultOrigin['kind']];

/** A result that was read. */
export type ReportPart = CompressPart | StepPart;

/** Results are lists of figures; the largest are those of data sets with thousands of categories. */
const LARGEST_FILE = 1 << 27;

/** Reads results and checks them. @throws as `report` */
export async function openResults(sources: readonly ResultSource[]): Promise<ReportPart[]> {
  const parts: ReportPart[] = [];
  for (const [index, source] of sources.entries())
    parts.push(
      typeof source === 'string'
        ? parsePart(await readJson(source, LARGEST_FILE), basename(source), source)
        : parsePart(source, '', `The result ${index + 1}`),
    );
  return parts;
}

const headSchema = z.object({
  format: z.unknown().optional(),
  origin: z.object({ kind: z.enum(RESULT_KINDS) }).optional(),
});

/** @param path the name in messages */
function parsePart(value: unknown, file: string, path: string): ReportPart {
  const head = headSchema.safeParse(value);
  if (head.success && head.data.format === RESULTS_FORMAT)
    return { kind: 'compress', source: path, file, result: parseWith(resultsSchema, value, path) };
  const kind = head.success ? head.data.origin?.kind : undefined;
  if (kind === undefined)
    throw new InputError(
      `${path} is no result that this version of dino8 can report; give the results.json of compress, or what eval, score, errors, bench, measure, sensitivity, tune, contribution or vocabulary wrote as JSON.`,
    );
  const { origin } = parseWith(z.object({ origin: originSchema }), value, path);
  const result = parseWith(schemas[kind], value, path);
  return { kind, source: path, file, origin, result } as StepPart; // the schema is that of the kind
}
