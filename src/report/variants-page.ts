/** The report that decides: the same model in several precisions, which of them to ship, and what it costs. */
import { markup } from '../base/markup.ts';
import { activationSections } from './activation-section.ts';
import { contributionSections } from './contribution-page.ts';
import { errorSections } from './error-section.ts';
import { inspectionSection } from './inspection-page.ts';
import { accuracySections, costSections } from './measured-sections.ts';
import { folded, page, type Section } from './page.ts';
import { mixturesBody } from './pareto-front-page.ts';
import { pictureSections } from './picture-section.ts';
import { planTable } from './plan-table.ts';
import { provenanceSections } from './provenance-section.ts';
import { publishedSizeSections } from './published-size.ts';
import type { ReportContent } from './report-content.ts';
import { sensitivityBody } from './sensitivity-page.ts';
import { decide } from './verdict.ts';
import { variantTable, verdictSection } from './verdict-section.ts';
import { vocabularySections } from './vocabulary-page.ts';

/** Renders a report as one HTML file. */
export function renderReport(content: ReportContent): string {
  const { title, summary, variants, outputFigures, inspected, sensitivity, mixtures, allowedDrop } = content;
  const verdict = decide(variants, allowedDrop);
  const planned = variants.flatMap(({ name, plan }) => (plan ? [{ name, plan }] : []));
  const sections: Section[] = [
    { id: 'variants', title: 'Variants', body: variantTable(variants, verdict) },
    ...accuracySections(variants, outputFigures, verdict),
    ...costSections(variants, verdict),
    ...publishedSizeSections(content.publishedSize),
    ...errorSections(variants),
    ...contributionSections(content.contribution),
    ...(sensitivity ? [{ id: 'sensitivity', title: 'Sensitivity', body: sensitivityBody(sensitivity) }] : []),
    ...(mixtures ? [{ id: 'mixtures', title: 'Mixtures of precisions', body: mixturesBody(mixtures) }] : []),
    ...vocabularySections(content.vocabulary),
    ...activationSections(content.activations),
    ...pictureSections(content.images, content.missingImages, variants[0]?.name),
    ...(planned.length > 0 ? [{ id: 'layers', title: 'Quantized layers', body: planTable(planned) }] : []),
    ...(inspected
      ? [
          {
            id: 'modules',
            title: 'Module by module',
            body: folded(`Parameters, work and time of ${inspected.name}`, inspectionSection(inspected.inspection)),
          },
        ]
      : []),
    ...provenanceSections(content.provenance, summary, content.sources),
  ];
  return page(title, markup`${verdictSection(verdict, variants)}`, sections);
}
