/** The forms of results in files, which may be of strangers: every number is finite, and every list has an end. */
import { z } from 'zod';
import type { ActivationRanges } from '../evaluate/activation-ranges.ts';
import type { LabelsIdentity } from '../evaluate/dataset-identity.ts';
import { ERROR_CAUSES } from '../evaluate/errors/find-errors.ts';
import { OCCLUSIONS, SIZES } from '../evaluate/errors/object-groups.ts';
import { FIGURES } from '../evaluate/score-matches.ts';
import type { ModelIdentity } from '../models/package/model-identity.ts';
import { MOST_CHANGED, MOST_CONFUSIONS } from '../report/named-errors.ts';
import type { PublishedSize } from '../report/published-size.ts';
import type { VariantErrors } from '../report/variants.ts';

/**
 * The check of a list whose entries are told apart by one of their fields: two with the same would be taken for each other.
 * @param field what entries must not have in common
 */
export const toldApartBy =
  <Field extends string>(field: Field) =>
  (entries: readonly Readonly<Record<Field, string | number>>[], context: z.core.$RefinementCtx): void => {
    const seen = new Set<string | number>();
    const doubled = entries.findIndex((entry) => seen.size === seen.add(entry[field]).size);
    if (doubled >= 0)
      context.addIssue({ code: 'custom', path: [doubled, field], message: 'an entry before it has the same' });
  };

/** A number of things. */
export const count = z.number().int().min(0);

/** A measured size. */
export const positive = z.number().positive();

/** The name of a variant, or of a file, which reports show. */
export const shownName = z.string().min(1).max(1000);

const figureNames = z.enum(FIGURES.map(({ name }) => name));

/** COCO's 12 figures; −1 where there is nothing to score. */
export const figuresSchema = z.record(figureNames, z.number().min(-1).max(1));

/** A figure or a change of one, which no two figures from −1 to 1 exceed. */
const figureOrChange = z.number().min(-2).max(2);

/** A number with its interval, of which the lower end is not above the upper, but for rounding. */
const estimateOf = (number: z.ZodNumber) =>
  z
    .object({ value: number, low: number, high: number })
    .refine(({ low, high }) => low <= high + 1e-9, { error: 'the lower end of the interval is above the upper' });

/** A figure or a change of one with its interval. */
export const estimateSchema = estimateOf(figureOrChange);

/** A time. None is shorter than a nanosecond, so that ratios of times are finite. */
export const secondsSchema = z.number().min(1e-9);

/** Figures, or changes of them, with their intervals. */
export const estimatesSchema = z.partialRecord(figureNames, estimateSchema);

export const detectionSchema = z.object({
  phrase: count,
  label: z.string(),
  score: z.number(),
  box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
});

const byGroup = <T extends z.ZodType>(value: T) =>
  z.object({ size: z.record(z.enum(SIZES), value), occlusion: z.record(z.enum(OCCLUSIONS), value) });

const foundSchema = byGroup(z.object({ found: count, total: count }));

const changedCounts = { lost: count, gained: count };

/** Objects that only one of two models finds. */
export const changedCount = z.object(changedCounts);

const changeBase = {
  ...changedCounts,
  groups: byGroup(changedCount),
  lostMargin: z.number().optional(),
};

/** The number of categories of the largest data sets is of this order. */
const MOST_NAMES = 100_000;

/** Names by ids. */
const names = z
  .record(z.string().regex(/^-?[0-9]+$/), z.string())
  .refine((record) => Object.keys(record).length <= MOST_NAMES, { error: `more than ${MOST_NAMES} names` })
  .transform((record) => new Map(Object.entries(record).map(([id, name]) => [Number(id), name] as const)));

const changeOfId = z.array(z.object({ id: z.number(), ...changedCounts })).max(MOST_NAMES);

/** The parts of a result of `errors` that refer to categories and images by their ids, and the names that belong to these ids. */
export const foundByIdsSchema = {
  groups: foundSchema,
  confusions: z.array(z.object({ object: z.number(), detected: z.number(), count })).max(10_000_000),
  change: z
    .object({ ...changeBase, categories: changeOfId, images: changeOfId })
    .transform(({ lostMargin, ...others }) => ({ ...others, lostMargin }))
    .optional(),
  categoryNames: names,
  imageNames: names,
};

const namedChanges = z.array(z.object({ name: shownName, ...changedCounts })).max(MOST_CHANGED);

export const errorAnalysisSchema = z.object({
  AP50: z.number(),
  causes: z.record(z.enum(ERROR_CAUSES), z.object({ count, gain: z.number() })),
  falsePositives: z.number(),
  falseNegatives: z.number(),
});

export const variantErrorsSchema: z.ZodType<VariantErrors> = z.object({
  threshold: z.number(),
  analysis: errorAnalysisSchema,
  groups: foundSchema,
  confusions: z
    .array(z.object({ object: shownName, detected: shownName, count }))
    .max(MOST_CONFUSIONS)
    .optional(),
  change: z.object({ ...changeBase, categories: namedChanges.optional(), images: namedChanges.optional() }).optional(),
});

/** The identity of a model. */
export const identitySchema: z.ZodType<ModelIdentity> = z.object({
  network: z.string().optional(),
  weights: z.string().optional(),
  modelHash: z.string().min(1),
});

/** The identity of labels. */
export const labelsSchema: z.ZodType<LabelsIdentity> = z.object({
  name: z.string(),
  images: count,
  boxes: count,
  categories: count,
  hash: z.string().min(1),
  categoryHash: z.string().min(1),
});

/** The meaning of figures of outputs. */
export const outputFiguresSchema = z
  .array(z.object({ key: z.string(), title: z.string(), perfect: z.number() }))
  .max(20)
  .superRefine(toldApartBy('key'));

/** The values that fit their range worst. */
export const activationsSchema: z.ZodType<ActivationRanges> = z.object({
  variant: z.string(),
  total: count,
  values: z
    .array(
      z.object({
        name: z.string(),
        low: z.number(),
        high: z.number(),
        minimum: z.number(),
        maximum: z.number(),
        decibels: z.number(),
        bins: z.array(z.object({ low: z.number(), high: z.number(), count: z.number().min(0) })).max(1000),
      }),
    )
    .max(100)
    .superRefine(toldApartBy('name')),
});

/** The measurements of a model of the published size. */
export const publishedSizeSchema: z.ZodType<PublishedSize> = z.object({
  parameters: count,
  height: count,
  width: count,
  threads: count,
  seed: count,
  variants: z
    .array(
      z.object({
        name: z.string(),
        fileBytes: positive,
        peakMemoryBytes: positive,
        medianSeconds: secondsSchema,
        runSeconds: z.array(secondsSchema).min(1).max(1000),
      }),
    )
    .max(10)
    .superRefine(toldApartBy('name')),
});

/** The saving of a module in bytes or in time. JSON leaves out a share that is not known; what is read states it as undefined. */
const savingOf = <T extends z.ZodType>(value: T) =>
  z
    .object({ float: value, quantized: value, saved: value, share: z.number().optional() })
    .transform(({ share, ...others }) => ({ ...others, share }));

const secondsSpread = z.object({ median: z.number(), lowest: z.number(), highest: z.number() });

const precisionContribution = z.object({
  change: figureOrChange,
  interval: estimateSchema.optional(),
  share: z.number().optional(),
});

/** The bytes and the time that each module saves in 8 bits, and the AP that it costs. */
export const contributionSchema = z.object({
  recipe: shownName,
  rounds: count,
  modules: z
    .array(
      z.object({
        name: shownName,
        bytes: savingOf(z.number()),
        seconds: savingOf(secondsSpread).optional(),
        averagePrecision: precisionContribution.optional(),
      }),
    )
    .max(1000)
    .superRefine(toldApartBy('name')),
  averagePrecision: z
    .object({
      images: count,
      float: figureOrChange,
      quantized: figureOrChange,
      whole: precisionContribution,
      together: precisionContribution,
    })
    .optional(),
});

/** A number about words with its changes, of which those that are not known are left out. */
const wordsNumber = (number: z.ZodNumber) =>
  z
    .object({
      value: number.optional(),
      interval: estimateOf(number).optional(),
      change: number.optional(),
      changeInterval: estimateOf(number).optional(),
    })
    .transform(({ value, ...others }) => ({ ...others, value }));

const wordsFigure = wordsNumber(figureOrChange);
const paraphrased = { original: wordsFigure, paraphrased: wordsFigure, difference: wordsFigure };

/** The result of `vocabulary`: AP and false alarms by unseen phrases, paraphrases and absent phrases. */
export const vocabularySchema = z.object({
  images: count,
  threshold: z.number().min(0).max(1),
  notes: z.array(z.string()).max(1000),
  seen: z
    .object({
      seenCategories: count,
      unseenCategories: count,
      seen: wordsFigure,
      unseen: wordsFigure,
      difference: wordsFigure,
    })
    .optional(),
  paraphrases: z
    .object({
      phrases: z.array(z.object({ category: z.string(), phrase: z.string(), ...paraphrased })).max(100_000),
      mean: z.object(paraphrased),
    })
    .optional(),
  absent: z
    .array(
      z.object({
        absent: count,
        phrases: z.number().min(0),
        falseAlarms: wordsNumber(z.number()),
        averagePrecision: wordsFigure,
        difference: wordsFigure,
      }),
    )
    .max(1000)
    .superRefine(toldApartBy('absent'))
    .optional(),
});
