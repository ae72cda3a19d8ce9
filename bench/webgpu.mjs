// Checks a page for WebGPU in Chromium's adapter in software, which is slow: minutes for the bundled model. It says whether the boxes are
// those of dino8, and nothing of the speed of a graphics processor.
// Usage: node bench/webgpu.mjs [CHROMIUM]      (default: /usr/bin/chromium)
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { bundledModel, exportWeb } from '../dist/index.mjs';

const [executablePath = '/usr/bin/chromium'] = process.argv.slice(2);
const TEN_MINUTES = 600_000;

const folder = mkdtempSync(join(tmpdir(), 'dino8-webgpu-'));
const output = join(folder, 'site');
const phrases = ['red circle', 'blue square', 'green triangle', 'orange ring', 'yellow rectangle'];
await exportWeb({ model: bundledModel(), output, phrases, backend: 'webgpu' });
const server = spawn(process.execPath, [join(output, 'server.mjs'), '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
const address = await new Promise((resolve) => server.stdout.once('data', (line) => resolve(String(line).trim())));
const args = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];
const browser = await chromium.launch({ executablePath, args });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(TEN_MINUTES);
  await page.goto(address);
  await page.locator('#status', { hasText: /^Ready|this browser does not have/ }).waitFor();
  console.log(await page.textContent('#status'));
  await page.click('summary');
  await page.click('#check');
  await page.locator('#status', { hasText: /of the check|failed/ }).waitFor();
  console.log(await page.textContent('#status'));
} finally {
  await browser.close();
  server.kill();
  rmSync(folder, { recursive: true });
}
