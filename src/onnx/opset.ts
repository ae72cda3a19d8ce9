/** The version of the standard operators that a model or a function uses. */
import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';
import { checkFields } from '../base/check-options.ts';
import type { ModelProto, NodeProto } from './types.ts';

/** True for the domain of the operators of the ONNX standard, which has two names. */
export const isStandardDomain = (domain: string): boolean => domain === '' || domain === 'ai.onnx';

/** The version of the standard operators in a list of imports; undefined if it has none. */
export function versionOf(imports: ModelProto['opsetImport']): number | undefined {
  const found = imports.find(({ domain }) => isStandardDomain(domain));
  return found && Number(found.version);
}

/**
 * Returns the version of the standard operators that a model uses; 0 if it imports none.
 * @example
 * const version = standardVersion(await readModel('detector.onnx')); // 21
 */
export function standardVersion(model: Pick<ModelProto, 'opsetImport'>): number {
  checkFields('The model must be what `readModel` returned', model, 'opsetImport');
  return versionOf(model.opsetImport) ?? 0;
}

/** The import of a version of the standard operators. */
export const standardImport = (version: number): ModelProto['opsetImport'][number] =>
  create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(version) });

/** The name of a node's operator; operators of other domains have theirs in front. */
export const operatorName = ({ domain, opType }: NodeProto): string =>
  isStandardDomain(domain) ? opType : `${domain}::${opType}`;
