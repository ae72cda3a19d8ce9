/** The first screen of a report: which variant to ship, what it costs, and all variants in one table. */
import { megabytes, milliseconds } from '../base/format.ts';
import { type Markup, type MarkupValue, markup } from '../base/markup.ts';
import { isChance } from '../base/statistics.ts';
import { points, signedInterval, signedPoints } from '../evaluate/points.ts';
import { tableCard } from './page.ts';
import type { ReportedVariant } from './variants.ts';
import {
  compareFound,
  type FoundComparison,
  type Gain,
  memoryGain,
  sizeGain,
  speedGain,
  type Verdict,
} from './verdict.ts';

const ratioText = ({ ratio }: Gain): string => `${ratio.toFixed(2)}×`;

/** The answer, its rule, and the figures of the variant that it names. */
export function verdictSection(
  { recommendation, answer, advice, rule }: Verdict,
  variants: readonly ReportedVariant[],
): Markup {
  const { decision, variant, closest } = recommendation;
  const [reference] = variants;
  const named = variants.find(({ name }) => name === (variant ?? closest));
  const tiles = reference && named && named !== reference ? tilesOf(named, reference) : '';
  return markup`<section class="${decision === 'ship' || decision === 'keep' ? 'verdict' : 'verdict open'}" aria-labelledby="verdict-title"><h2 id="verdict-title">Which variant to ship, and what it costs</h2>
<p class="answer">${answer}</p>${advice === undefined ? '' : markup`<p class="rule">${advice}</p>`}${tiles}
<p class="rule">${rule}</p></section>`;
}

function tilesOf(variant: ReportedVariant, reference: ReportedVariant): Markup {
  const compared = (
    title: string,
    words: readonly [more: string, less: string, same: string],
    gain: Gain | undefined,
    text: (each: ReportedVariant) => string,
  ) => (gain ? [tile(title, gainInWords(gain, words), `${text(reference)} → ${text(variant)}`)] : []);
  const change = variant.change?.AP;
  const objects = compareFound(variant, reference);
  return markup`<dl class="tiles">${[
    ...compared('File', ['smaller', 'larger', 'as large'], sizeGain(variant, reference), ({ fileBytes = 0 }) =>
      megabytes(fileBytes),
    ),
    ...compared('Latency', ['faster', 'slower', 'as fast'], speedGain(variant, reference), ({ medianSeconds = 0 }) =>
      milliseconds(medianSeconds),
    ),
    ...compared('Memory', ['less', 'more', 'as much'], memoryGain(variant, reference), ({ peakMemoryBytes = 0 }) =>
      megabytes(peakMemoryBytes, 0),
    ),
    ...(change
      ? [
          tile(
            'Change of AP',
            changeMark(change),
            `${signedInterval(change)}${isChance(change) ? ', within chance' : ''}`,
          ),
        ]
      : []),
    ...(objects ? [objectsTile(objects)] : []),
  ]}</dl>`;
}

function objectsTile({ threshold, found, before, total, isChance: isAlike }: FoundComparison): Markup {
  const tone = isAlike ? 'chance' : found > before ? 'better' : 'worse';
  const words = found === before ? 'as many' : `${Math.abs(found - before)} ${found > before ? 'more' : 'fewer'}`;
  return tile(
    'Objects found',
    markup`<span class="${tone}">${words}</span>`,
    `${before} → ${found} of ${total}, scores from ${threshold}${isAlike ? ', within chance' : ''}`,
  );
}

function gainInWords(gain: Gain, [more, less, same]: readonly [more: string, less: string, same: string]): string {
  if (!isDifference(gain)) return same;
  return gain.ratio > 1 ? `${gain.ratio.toFixed(2)}× ${more}` : `${(1 / gain.ratio).toFixed(2)}× ${less}`;
}

/** False for a ratio that lies within the spread, or rounds to nothing. */
const isDifference = ({ ratio, isDistinct }: Gain): boolean => isDistinct && Math.abs(ratio - 1) >= 0.05;

const tile = (title: string, value: MarkupValue, below: string): Markup =>
  markup`<div><dt>${title}</dt><dd>${value}<small>${below}</small></dd></div>`;

/** A change in points; it has the colour of a gain or a loss only if it is more than chance. */
function changeMark(change: { readonly value: number; readonly low: number; readonly high: number }): Markup {
  const tone = isChance(change) ? 'chance' : change.value > 0 ? 'better' : 'worse';
  return markup`<span class="${tone}">${signedPoints(change.value)}</span>`;
}

/** A column of the table of variants: it is shown if a variant has what it needs. */
interface VariantColumn {
  readonly heading: string;
  readonly needs: keyof ReportedVariant;
  readonly cell: (variant: ReportedVariant, reference: ReportedVariant) => MarkupValue;
}

const measured =
  (
    text: (variant: ReportedVariant) => string | undefined,
    gain: (variant: ReportedVariant, reference: ReportedVariant) => Gain | undefined,
  ): VariantColumn['cell'] =>
  (variant, reference) => {
    const compared = variant === reference ? undefined : gain(variant, reference);
    return markup`${text(variant) ?? '–'}${compared ? ratioMark(compared) : ''}`;
  };

const COLUMNS: readonly VariantColumn[] = [
  { heading: 'AP', needs: 'figures', cell: ({ figures }) => points(figures?.AP ?? -1) },
  {
    heading: 'Change of AP',
    needs: 'figures',
    cell: (variant, reference) => {
      if (variant === reference) return '';
      const change = variant.change?.AP;
      if (!change) return markup`–<small>${variant.change ? 'no interval' : 'not compared'}</small>`;
      return markup`${changeMark(change)}<small>${signedInterval(change)}</small>`;
    },
  },
  {
    heading: 'Latency',
    needs: 'medianSeconds',
    cell: measured(({ medianSeconds }) => (medianSeconds ? milliseconds(medianSeconds) : undefined), speedGain),
  },
  {
    heading: 'File',
    needs: 'fileBytes',
    cell: measured(({ fileBytes }) => (fileBytes ? megabytes(fileBytes) : undefined), sizeGain),
  },
  {
    heading: 'Peak memory',
    needs: 'peakMemoryBytes',
    cell: measured(({ peakMemoryBytes: bytes }) => (bytes ? megabytes(bytes, 0) : undefined), memoryGain),
  },
];

/** All variants with what decides between them. */
export function variantTable(variants: readonly ReportedVariant[], { recommendation }: Verdict): Markup {
  const [reference] = variants;
  if (!reference) return markup``;
  const columns = COLUMNS.filter(({ needs }) => variants.some((variant) => variant[needs] !== undefined));
  const rows = variants.map((variant): MarkupValue[] => {
    const { name, description = '' } = variant;
    return [
      markup`${name}${description && markup`<small>${description}</small>`}`,
      ...columns.map(({ cell }) => cell(variant, reference)),
    ];
  });
  const chosen = variants.findIndex(({ name }) => name === recommendation.variant);
  return tableCard({
    caption: `All variants${variants.length > 1 ? `, against ${reference.name}` : ''}`,
    columns: ['Variant', ...columns.map(({ heading }) => heading)],
    rows,
    chosen: chosen < 0 ? undefined : chosen,
  });
}

/** A ratio is coloured where it is a difference: what lies within the spread, or rounds to nothing, is grey. */
function ratioMark(gain: Gain): Markup {
  const tone = !isDifference(gain) ? 'chance' : gain.ratio > 1 ? 'better' : 'worse';
  return markup` <span class="change ${tone}">${ratioText(gain)}</span>`;
}
