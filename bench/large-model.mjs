// Measures reading and writing a large ONNX file: the time, and the peak memory beside its size, each in a process of its own.
// usage: large-model.mjs MODEL.onnx [read | write]
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readModel, writeModel } from '../dist/onnx.mjs';

const [path, step] = process.argv.slice(2);
const peak = () => Number(readFileSync('/proc/self/status', 'utf8').match(/VmHWM:\s+(\d+)/)?.[1] ?? 0) * 1024;

if (step === undefined) {
  const size = statSync(path).size;
  console.log(`${path}: ${(size / 1e6).toFixed(0)} MB`);
  for (const each of ['read', 'write']) {
    const [seconds, bytes] = JSON.parse(
      execFileSync(process.execPath, [fileURLToPath(import.meta.url), path, each]).toString(),
    );
    console.log(`${each}: ${seconds.toFixed(2)} s, peak memory ${(bytes / size).toFixed(2)}x the file`);
  }
} else {
  execFileSync('cat', [path], { stdio: 'ignore' }); // into the page cache, so that reading is not the disk
  const started = performance.now();
  const model = await readModel(path);
  const read = performance.now();
  if (step === 'read') console.log(JSON.stringify([(read - started) / 1000, peak()]));
  else {
    const copy = `${path}.copy`;
    await writeModel(model, copy);
    console.log(JSON.stringify([(performance.now() - read) / 1000, peak()]));
    rmSync(copy);
  }
}
