/** The report in Chromium: at the widths of a phone, a tablet and a desk, light and dark, by keyboard, without script, and printed. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { sampleContent } from '../src/report/testing/sample-content.ts';
import { renderReport } from '../src/report/variants-page.ts';

const program = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
  .map((name) => join('/usr/bin', name))
  .find(existsSync);
const folder = mkdtempSync(join(tmpdir(), 'dino8-report-page-'));
const file = join(folder, 'report.html');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

afterAll(() => rmSync(folder, { recursive: true }));

describe.skipIf(!program)(program ? 'the report' : 'the report (Chromium is not installed here)', () => {
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    writeFileSync(file, renderReport(sampleContent(readFileSync(join(packageRoot, 'assets/shapes/val/000082.jpg')))));
    browser = await chromium.launch({ executablePath: program ?? '', args: ['--no-sandbox'] });
    page = await browser.newPage();
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => !/^(file|data):/.test(request.url()) && problems.push(request.url()));
    await page.goto(pathToFileURL(file).href);
  });
  afterAll(() => browser?.close());

  test('answers on the first screen of a phone, and scrolls sideways at no width', async () => {
    for (const width of [360, 768, 1400]) {
      await page.setViewportSize({ width, height: 800 });
      const answer = await page.locator('.answer').boundingBox();
      expect((answer?.y ?? 800) + (answer?.height ?? 0), `${width}`).toBeLessThan(800);
      expect(await page.evaluate('document.documentElement.scrollWidth'), `${width}`).toBe(width);
    }
    expect(await page.locator('.answer').textContent()).toMatch(
      /^Ship fast: 3\.8× smaller, 3\.4× faster, AP unchanged within chance \(−0\.40 to \+0\.20\)\.$/,
    );
  });

  test('has charts whose texts neither meet nor leave their cards', async () => {
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true");
    const badTexts = `[...document.querySelectorAll('.card > svg, .card .broad > svg, .card .narrow > svg')].flatMap((svg) => {
      const card = svg.closest('.card').getBoundingClientRect();
      const texts = [...svg.querySelectorAll('text')]
        .map((text) => ({ said: text.textContent, box: text.getBoundingClientRect() }))
        .filter(({ box }) => box.width > 0);
      const isOut = ({ box }) => box.left < card.left || box.right > card.right || box.top < card.top;
      const meet = ({ box: a }, { box: b }) =>
        Math.min(a.right, b.right) > Math.max(a.left, b.left) + 1 && Math.min(a.bottom, b.bottom) > Math.max(a.top, b.top) + 3;
      return texts.filter((text, at) => isOut(text) || texts.some((other, next) => next > at && meet(text, other))).map(({ said }) => said);
    })`;
    for (const width of [360, 768, 1400]) {
      await page.setViewportSize({ width, height: 800 });
      expect(await page.evaluate(badTexts), `${width}`).toEqual([]);
    }
  });

  test('has no violation that axe calls serious or critical, light and dark', async () => {
    // The policy of the page allows no other script, so that axe is evaluated from outside of it.
    await page.evaluate(axe);
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true");
    for (const colorScheme of ['light', 'dark'] as const)
      for (const width of [360, 768, 1400]) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width, height: 800 });
        // What else axe looks at depends neither on the width nor on the scheme.
        const isFirst = colorScheme === 'light' && width === 360;
        const rules = isFirst ? '' : ", runOnly: ['color-contrast', 'scrollable-region-focusable']";
        const found = await page.evaluate(
          `axe.run({ preload: false, resultTypes: ['violations']${rules} }).then(({ violations }) => violations.map(({ id, impact, nodes }) => impact + ' ' + id + ' ' + nodes[0].html))`,
        );
        expect(
          (found as string[]).filter((each) => /^(serious|critical)/.test(each)),
          `${colorScheme} ${width}`,
        ).toEqual([]);
      }
  });

  test('sorts its tables by keyboard, in both directions', async () => {
    const table = page.locator('#variants table');
    const names = () =>
      table.locator('tbody th').evaluateAll((heads) => heads.map((head) => (head.textContent ?? '').slice(0, 4)));
    expect(await names()).toEqual(['FP32', 'fast', 'full']);
    await table.getByRole('button', { name: 'Latency' }).press('Enter');
    expect(await names()).toEqual(['fast', 'full', 'FP32']);
    await table.getByRole('button', { name: 'Latency' }).press('Enter');
    expect(await names()).toEqual(['FP32', 'full', 'fast']);
    expect(await table.locator('[aria-sort]').getAttribute('aria-sort')).toBe('descending');
  });

  test('hides the boxes of all pictures, and shows them again', async () => {
    const boxes = page.locator('.boxes').first();
    expect(await boxes.isVisible()).toBe(true);
    await page.getByLabel('Show boxes').uncheck();
    expect(await boxes.isVisible()).toBe(false);
    await page.getByLabel('Show boxes').check();
  });

  test('is printed on A4 with all that is folded open and no table cut', async () => {
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = false");
    const pdf = await page.pdf({ preferCSSPageSize: true });
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    // The width of A4 without its margins, at 96 pixels to the inch.
    await page.setViewportSize({ width: Math.floor(((210 - 24) / 25.4) * 96), height: 1000 });
    await page.evaluate("dispatchEvent(new Event('beforeprint'))");
    expect(await page.locator('details:not([open])').count()).toBe(0);
    const cut =
      "[...document.querySelectorAll('.card, table')].filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.textContent.slice(0, 40))";
    expect(await page.evaluate(cut)).toEqual([]);
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(255, 255, 255)');
  });

  test('loads nothing, and raises no error', () => expect(problems).toEqual([]));
});
