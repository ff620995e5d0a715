// What a report page says, as plain data that no longer knows whether it came from a comparison, a diff or a
// trace. The page's script gets `PageData` as JSON and draws it; everything else is written by the server
// side, so that a page without its script still gives the answer.

/** A sentence; a name in it stands apart, so that it is set as code and escaped as a whole. */
export type Words = readonly (string | { readonly name: string })[];

/** A table of texts; `rows` may point at rows of the module tree. */
export interface TextTable {
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** How often values fell into each bin. */
export interface TextHistogram {
  readonly caption: string;
  readonly bins: readonly {
    readonly label: string;
    readonly count: number;
    readonly mark?: true;
  }[];
}

/** What the heat map shows of each tensor in each column. */
export interface Measure {
  /** `error over tolerance`, `abs_mean`. */
  readonly name: string;
  /** One sentence on what a number of it means. */
  readonly about: string;
  /** Whether numbers above 1 are bad. */
  readonly isTolerance: boolean;
  /** Upper edges of the levels 1 to 5, ascending; level 0 is zero, 6 is above, 7 is no finite number. */
  readonly edges: readonly number[];
  /** What each level means, 0 to 7. */
  readonly levels: readonly string[];
  /** One number a row, as `encodeCells` writes it. */
  readonly values: string;
  /** One number for each series in each column, series by series. */
  readonly cells: string;
}

/** A module in the tree. */
export interface ModuleRow {
  /** Its dotted path; `""` is the model itself. */
  readonly path: string;
  /** The last part of the path. */
  readonly name: string;
  /** How deep it lies, from 0. */
  readonly depth: number;
  /** Its class, or what else is known in a word or two. */
  readonly about: string;
  /** Set off beside the name: `introduces the error`. */
  readonly badge: string;
  /** Labels of its tensors: its series in the heat map, which follow one another from `firstSeries`. */
  readonly tensors: readonly string[];
  readonly firstSeries: number;
  /** Sentences. */
  readonly lines: readonly string[];
  readonly tables: readonly TextTable[];
  readonly histograms: readonly TextHistogram[];
}

/** What the page's script draws. */
export interface PageData {
  readonly columns: readonly string[];
  /** `step`, `call`, `run`. */
  readonly columnNoun: string;
  readonly measures: readonly Measure[];
  /** In order of the tree: every module before what lies in it. */
  readonly rows: readonly ModuleRow[];
  /** The row that the page opens with, or -1. */
  readonly firstRow: number;
}

/** A whole report. */
export interface ReportContent {
  readonly title: string;
  /** `Diverged`, with the tone that it is said in. */
  readonly status: string;
  readonly tone: "good" | "bad" | "unsure";
  /** The answer: the first sentence is set large. */
  readonly answer: readonly Words[];
  /** The worst places, each with its row in the tree (or -1). */
  readonly ranking: {
    readonly table: TextTable;
    readonly rows: readonly number[];
  } | null;
  /** What was compared: names and values. */
  readonly facts: readonly (readonly [string, string])[];
  /** Lists that stand below the tree, each under its own heading. */
  readonly lists: readonly { readonly caption: string; readonly items: readonly Words[] }[];
  readonly data: PageData;
}
