/** Inputs of a model, one run at a time, wherever they come from: pictures with prompts, arrays in files, or noise. */
import { checkValue, listOf, objectWith } from '../../base/check-options.ts';
import type { Feeds } from '../../runtime/session.ts';

/** Inputs of the model for one run, and its place in the order of the whole calibration. */
export interface Sample {
  /** Position in the order of all samples, from 0. Statistics do not depend on the order in which samples are seen. */
  readonly place: number;
  /** Length of the prompt; undefined where the model has no text. */
  readonly tokens?: number | undefined;
  /** A tensor for each input of the model, by name. */
  readonly feeds: Feeds;
  /** The file that the sample came from, for messages. */
  readonly source?: string | undefined;
}

/**
 * A stream of samples that can be started anew: techniques that look at weights layer by layer read it several times.
 *
 * @example
 * const samples = listedSamples([{ place: 0, feeds: { x: floats(Float32Array.of(1, 2), [1, 2]) } }]);
 * const statistics = await calibrate(model, ['x'], samples);
 */
export interface SampleSource {
  /** The number of samples in all; statistics that depend on the order of samples need it. */
  readonly total: number;
  /** Two sources with the same key give the same samples in the same order. */
  readonly key: string;
  /** One pass over the samples whose `place` is accepted (all of them by default), in ascending order of `place`. */
  samples(accept?: (place: number) => boolean): AsyncIterable<Sample>;
}

/** Rules for calibration: which numbers of a model's values are data. A model family provides them. */
export interface ObservationRules {
  /** Values whose magnitude is above this limit are masks, not data, and are left out of statistics; Infinity if there are none. */
  readonly maskLimit: number;
  /**
   * A boolean value of the graph that says which rows count, and the leading symbolic dimensions of the values to which it
   * applies: rows of padding do not count in values that begin with these dimensions. A model without this value has no
   * padding, and all its rows count.
   */
  readonly validRows?:
    | {
        /** The name of the boolean value. */
        readonly value: string;
        /** The leading symbolic dimensions. */
        readonly dimensions: readonly string[];
      }
    | undefined;
}

/** The rules for a model of which nothing is known: every finite number counts. */
export const NO_RULES: ObservationRules = { maskLimit: Number.POSITIVE_INFINITY };

/**
 * Makes a source of samples that are already in memory.
 * @param key the identity of the list; lists with the same key are taken for the same calibration when one is resumed
 * @example
 * const samples = listedSamples([{ place: 0, feeds: { x: floats(Float32Array.of(1, 2), [1, 2]) } }]);
 */
export function listedSamples(list: readonly Sample[], key = 'listed'): SampleSource {
  checkValue('The samples', listOf('a list of samples', objectWith('a sample', 'place', 'feeds')), list);
  return {
    total: list.length,
    key,
    async *samples(accept = () => true) {
      for (const sample of list) if (accept(sample.place)) yield sample;
    },
  };
}
