/** Every report page, rendered from names that try to break out of it, and read by a parser of HTML. */
import { createHash } from 'node:crypto';
import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import type { ModuleCost } from '../evaluate/inspect.ts';
import { renderComparison } from './comparison-page.ts';
import { renderContribution } from './contribution-page.ts';
import { renderInspection } from './inspection-page.ts';
import { renderParetoFront } from './pareto-front-page.ts';
import { describePublishedSize } from './published-size.ts';
import { renderSensitivity } from './sensitivity-page.ts';
import { SCRIPT } from './table-script.ts';
import { renderTraining } from './training-page.ts';
import { renderReport } from './variants-page.ts';
import { renderVocabulary } from './vocabulary-page.ts';

const HOSTILE = `</title></td></svg><script>alert(1)</script><img src=x onerror="alert(2)">&amp;&#38;"'\`a & b`;

const cost = (path: string): ModuleCost => ({
  path,
  parameters: 10,
  bytes: 40,
  multiplyAdds: 1000,
  integerMultiplyAdds: 500,
  seconds: 0.001,
});

const plan = {
  recipe: HOSTILE,
  target: HOSTILE,
  layers: { float: 1, dynamic: 2, static: 3, 'weight-only': 4, activations: { [HOSTILE]: 5 } },
  techniques: [HOSTILE],
  floatLayers: [{ path: HOSTILE, count: 1 }],
};

const inspection = {
  plan,
  modules: [cost(HOSTILE), cost('model.encoder')],
  sensitive: [{ ...cost(HOSTILE), reason: HOSTILE }],
  total: cost('whole model'),
  uncounted: 0,
};

const figures = {
  AP: 0.5,
  AP50: 0.7,
  AP75: 0.5,
  APsmall: 0.2,
  APmedium: 0.5,
  APlarge: -1,
  AR1: 0.1,
  AR10: 0.2,
  AR100: 0.3,
  ARsmall: 0.1,
  ARmedium: 0.2,
  ARlarge: -1,
};

const foundCount = { found: 1, total: 2 };
const changedCount = { lost: 1, gained: 2 };
const error = { count: 1, gain: 0.1 };
const causes = {
  classification: error,
  localization: error,
  both: error,
  duplicate: error,
  background: error,
  missed: error,
};

const variant = (name: string) => ({
  name,
  description: HOSTILE,
  file: HOSTILE,
  fileBytes: 1e7,
  peakMemoryBytes: 2e8,
  medianSeconds: 0.1,
  runSeconds: [0.09, 0.1, 0.12],
  roundSeconds: [0.09, 0.12],
  figures,
  intervals: { AP: { value: 0.5, low: 0.4, high: 0.6 } },
  change: { AP: { value: 0.01, low: -0.01, high: 0.03 } },
  plan,
  agreement: { inputs: 2, count: 3, figures: { [HOSTILE]: 0.9 } },
  errors: {
    threshold: 0.35,
    analysis: {
      AP50: 0.5,
      causes: { ...causes },
      falsePositives: 0.1,
      falseNegatives: 0.1,
    },
    groups: {
      size: { small: foundCount, medium: foundCount, large: foundCount },
      occlusion: { free: foundCount, partly: foundCount, mostly: foundCount },
    },
    confusions: [{ object: HOSTILE, detected: `${HOSTILE}2`, count: 3 }],
    change: {
      lost: 1,
      gained: 2,
      groups: {
        size: { small: changedCount, medium: changedCount, large: changedCount },
        occlusion: { free: changedCount, partly: changedCount, mostly: changedCount },
      },
      categories: [{ name: HOSTILE, lost: 1, gained: 2 }],
      images: [{ name: HOSTILE, lost: 1, gained: 2 }],
    },
  },
});

const recipe = { name: HOSTILE, description: HOSTILE, rules: [], techniques: [] };
const mixture = { float: 0, averagePrecision: 0.5, drop: 0.1, seconds: 0.2 };
const unscored = { float: 0, drop: 0.1, seconds: 0.2 };
const step = { kind: 'step', epoch: 0, loss: 2, class: 1, box: 1, giou: 1, rate: 1e-4, gradientNorm: 1 } as const;
const outputFigures = [{ key: HOSTILE, title: HOSTILE, perfect: 1 }];
const found = [{ phrase: 0, label: HOSTILE, score: 0.9, box: [1, 2, 3, 4] as const }];

const number = { value: 0.5, interval: { value: 0.5, low: 0.4, high: 0.6 }, change: 0.1, changeInterval: undefined };
const saving = { float: 2e6, quantized: 1e6, saved: 1e6, share: 1 };

const words = {
  images: 20,
  threshold: 0.35,
  notes: [HOSTILE],
  seen: { seenCategories: 1, unseenCategories: 0, seen: number, unseen: { value: undefined }, difference: number },
  paraphrases: {
    phrases: [{ category: HOSTILE, phrase: HOSTILE, original: number, paraphrased: number, difference: number }],
    mean: { original: number, paraphrased: number, difference: number },
  },
  absent: [0, 1].map((absent) => {
    return { absent, phrases: 2, falseAlarms: number, averagePrecision: number, difference: number };
  }),
};
const contributions = { recipe: HOSTILE, rounds: 0, modules: [{ name: HOSTILE, bytes: saving }] };

const pages: Record<string, () => string> = {
  vocabulary: () => renderVocabulary(HOSTILE, words),
  contribution: () => renderContribution(HOSTILE, contributions),
  comparison: () =>
    renderComparison(HOSTILE, {
      layers: [{ path: HOSTILE, decibels: 30 }],
      samples: [{ source: HOSTILE, count: 3, figures: { [HOSTILE]: 0.9 } }],
      count: 3,
      figures: { [HOSTILE]: 0.9 },
      loss: 0.1,
      outputFigures,
    }),
  'comparison with accuracy': () =>
    renderComparison(
      HOSTILE,
      {
        layers: [],
        samples: [{ source: HOSTILE, count: 3, figures: {} }],
        count: 3,
        figures: {},
        loss: 0.1,
        outputFigures,
      },
      {
        images: 20,
        figures,
        intervals: { AP: { value: 0.5, low: 0.4, high: 0.6 } },
        change: { AP: { value: -0.02, low: -0.03, high: -0.01 } },
      },
    ),
  inspection: () => renderInspection(HOSTILE, inspection),
  'Pareto front': () => renderParetoFront(HOSTILE, { recipe, chosen: mixture, mixtures: [mixture] }),
  'Pareto front without labelled data': () =>
    renderParetoFront(HOSTILE, { recipe, chosen: unscored, mixtures: [unscored] }),
  sensitivity: () =>
    renderSensitivity(HOSTILE, {
      float: 0.6,
      parts: [{ name: HOSTILE, averagePrecision: 0.5, figures: { [HOSTILE]: 0.9 }, loss: 0.1, drop: 10 }],
      outputFigures,
    }),
  training: () =>
    renderTraining(HOSTILE, [
      { ...step, step: 1, imagesPerSecond: 2 },
      { ...step, step: 2, imagesPerSecond: 2 },
      { kind: 'score', step: 2, AP: 40, AP50: 60, images: 10 },
    ]),
  variants: () =>
    renderReport({
      title: HOSTILE,
      summary: HOSTILE,
      allowedDrop: 1,
      missingImages: [HOSTILE],
      sources: [HOSTILE],
      sensitivity: {
        parts: [{ name: HOSTILE, figures: { [HOSTILE]: 0.9 }, loss: 0.1 }],
        outputFigures,
      },
      mixtures: [mixture],
      contribution: { name: HOSTILE, contributions },
      vocabulary: { name: HOSTILE, against: HOSTILE, result: words },
      activations: {
        variant: HOSTILE,
        total: 1,
        values: [
          {
            name: HOSTILE,
            low: -1,
            high: 1,
            minimum: -2,
            maximum: 2,
            decibels: 30,
            bins: [{ low: -2, high: 2, count: 3 }],
          },
        ],
      },
      provenance: {
        date: '2026-01-02T03:04:05.678Z',
        command: HOSTILE,
        machine: { processor: HOSTILE, cores: 2, memoryBytes: 1e9, system: HOSTILE },
        versions: { dino8: HOSTILE, node: HOSTILE, onnxRuntime: HOSTILE },
        threads: 1,
        rounds: 3,
        runs: 20,
        seed: 0,
        checkpoint: { name: HOSTILE, hash: HOSTILE },
        dataset: { name: HOSTILE, images: 1, boxes: 1, categories: 1, hash: HOSTILE, categoryHash: HOSTILE },
        calibration: { name: HOSTILE, images: 1, hash: HOSTILE },
      },
      variants: [variant(HOSTILE), variant('other')],
      outputFigures,
      publishedSize: {
        parameters: 1e6,
        height: 480,
        width: 640,
        threads: 2,
        seed: 0,
        variants: [{ name: HOSTILE, fileBytes: 1, peakMemoryBytes: 1, medianSeconds: 1, runSeconds: [1, 2] }],
      },
      images: [
        {
          name: HOSTILE,
          width: 10,
          height: 10,
          bytes: Uint8Array.of(1, 2, 3),
          mediaType: 'image/jpeg',
          detections: [{ variant: HOSTILE, found, change: changedCount }],
        },
      ],
      inspected: { name: HOSTILE, inspection },
    }),
};

/** Tags that a report consists of; anything else comes from a name. */
const TAGS = new Set(
  'html head meta title style script body a div main nav ul li section h1 h2 h3 p dl dt dd code table caption thead tbody tr th td small span details summary label input figure figcaption svg g path rect line text tspan circle image use'.split(
    ' ',
  ),
);

describe.each(Object.entries(pages))('the page of %s', (_, render) => {
  const { document } = parseHTML(render());
  const elements = [...document.querySelectorAll('*')];

  test('has no element, attribute or link that a name brought in', () => {
    const unknown = elements.map(({ tagName }) => tagName.toLowerCase()).filter((tag) => !TAGS.has(tag));
    expect(unknown).toEqual([]);
    for (const element of elements) {
      for (const { name } of [...element.attributes]) expect(name).not.toMatch(/^on/);
      expect(element.getAttribute('src')).toBeNull();
      expect(element.getAttribute('href') ?? '#').toMatch(/^(#[a-z0-9-]+|#|data:image\/jpeg;base64,.*)$/);
    }
  });

  test('runs the script of report pages only, which its policy names by its hash', () => {
    const scripts = [...document.querySelectorAll('script')].map(({ textContent }) => textContent ?? '');
    expect(scripts).toEqual([SCRIPT]);
    const policy = document.querySelector('meta[http-equiv]')?.getAttribute('content');
    const hash = createHash('sha256').update(SCRIPT).digest('base64');
    expect(policy).toMatch(/^default-src 'none'/);
    expect(policy?.match(/script-src [^;]*/)?.[0]).toBe(`script-src 'sha256-${hash}'`);
  });

  test('shows the names as they are, escaped exactly once', () => {
    expect(document.querySelector('h1')?.textContent).toContain(HOSTILE);
    expect(document.querySelector('title')?.textContent).toContain(HOSTILE);
    const texts = elements.filter(({ children }) => children.length === 0).map(({ textContent }) => textContent ?? '');
    const shown = texts.filter((text) => text.includes('alert(1)'));
    expect(shown.length).toBeGreaterThanOrEqual(2);
    for (const text of shown) expect(text).toContain(HOSTILE);
    for (const image of document.querySelectorAll('.picture > svg'))
      expect(image.getAttribute('aria-label')).toContain(HOSTILE);
  });

  test('gives every table a caption and headings, and every chart a text', () => {
    for (const table of document.querySelectorAll('table')) {
      expect(table.querySelector('caption')?.textContent).toBeTruthy();
      for (const head of table.querySelectorAll('th')) expect(head.getAttribute('scope')).toMatch(/^(row|col)$/);
    }
    for (const svg of document.querySelectorAll('svg')) {
      if (svg.parentElement?.closest('svg')) continue;
      expect([svg.getAttribute('role'), Boolean(svg.getAttribute('aria-label'))]).toEqual(['img', true]);
    }
  });
});

test('what was measured with one thread says so in the singular', () => {
  const measured = { parameters: 172e6, height: 480, width: 640, seed: 0, variants: [] };
  expect(describePublishedSize({ ...measured, threads: 1 })).toContain('with 1 thread, in');
  expect(describePublishedSize({ ...measured, threads: 2 })).toContain('with 2 threads, in');
});
