// Lists and notes that the reports have in common.

import { plural } from "./_page_text.ts";
import type { ReportContent, Words } from "./_report_content.ts";
import type { GridTable } from "./_step_grid.ts";

/** How many items of a list are shown. */
const LISTED = 500;

/** Says that columns hold several steps. */
export function widthNote({ width, columnNoun }: GridTable): Words {
  return [
    `Each column of the heat map holds up to ${
      plural(width, columnNoun)
    }, and the largest magnitude of them: ` +
    "there were more than a page can show.",
  ];
}

/** A list for the page; none when it would be empty. */
export function listOf(caption: string, items: readonly Words[]): ReportContent["lists"] {
  const more = items.length - LISTED;
  const shown: Words[] = more > 0 ? [...items.slice(0, LISTED), [`and ${more} more`]] : [...items];
  return items.length === 0 ? [] : [{ caption, items: shown }];
}
