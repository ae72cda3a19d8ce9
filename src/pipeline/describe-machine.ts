/** The machine and the versions that results were made with. */
import { availableParallelism, cpus, totalmem } from 'node:os';
import { messageOf } from '../base/errors.ts';
import { packageVersion } from '../base/package-root.ts';
import type { Provenance } from '../report/provenance.ts';
import { ort } from '../runtime/native.ts';

/** The version of ONNX Runtime, or why there is none on this platform. */
export function runtimeVersion(): string {
  try {
    return ort().version;
  } catch (error) {
    return messageOf(error);
  }
}

/** What results depend on beside their inputs. */
export function describeMachine(): Pick<Provenance, 'machine' | 'versions' | 'date'> {
  return {
    date: new Date().toISOString(),
    machine: {
      processor: cpus()[0]?.model.trim() || 'unknown processor',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      system: `${process.platform} ${process.arch}`,
    },
    versions: { dino8: packageVersion(), node: process.version.replace(/^v/, ''), onnxRuntime: runtimeVersion() },
  };
}
