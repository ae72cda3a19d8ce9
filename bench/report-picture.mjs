// Makes the picture of a report for the README, in Debian's Chromium:
//   npx dino8 demo && node bench/report-picture.mjs dino8-report.html
// The picture is docs/images/report.jpg: the answer of the report, the table of its variants, and the first charts.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [report = 'dino8-report.html'] = process.argv.slice(2);
const path = join(fileURLToPath(new URL('.', import.meta.url)), '../docs/images/report.jpg');
const program = ['chromium', 'chromium-browser', 'google-chrome']
  .map((name) => join('/usr/bin', name))
  .find(existsSync);
if (!program) throw new Error('Chromium is not installed.');
const browser = await chromium.launch({ executablePath: program, args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1180, height: 1240 }, colorScheme: 'light' });
await page.goto(pathToFileURL(resolve(report)).href);
await page.screenshot({ path, type: 'jpeg', quality: 82 });
await browser.close();
console.log(path);
