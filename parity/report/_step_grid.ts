// Numbers by tensor and step, gathered record by record: what a heat map shows. It knows no scale.
//
// Invariant: memory holds at most CELL_LIMIT numbers, or one column where even that is too much. When
// more would be needed, two neighbouring columns become one, of whose numbers the larger magnitude stays.

/** How many numbers a grid may hold, all measures together. */
export const CELL_LIMIT = 800_000;
/** How many columns of a kind: more cannot be told apart on a page. */
export const COLUMN_LIMIT = 200;

/** Columns on both sides of step 0 never become one. */
const WIDTH_LIMIT = 2 ** 40;

/** One tensor of one module. */
export interface GridSeries {
  /** The module's path. */
  readonly module: string;
  /** The tensor's label. */
  readonly tensor: string;
}

/** A finished grid: `cells(measure)` holds a row for each series with a number for each column. */
export interface GridTable {
  /** Its rows, in the order in which they came. */
  readonly series: readonly GridSeries[];
  /** Labels of its columns. */
  readonly columns: readonly string[];
  /** What a column is. */
  readonly columnNoun: "step" | "call";
  /** How many steps or calls a column holds. */
  readonly width: number;
  /** The numbers of one measure, by series and column; null where there is none. */
  cells(measure: number): (number | null)[][];
}

/** Columns of one kind: steps, or the calls of records without a step. */
interface Kind {
  width: number;
  /** Keys of columns, step over width. */
  keys: Set<number>;
}

/** By measure, then by kind and column. */
type Cells = Map<string, number>[];

/** Gathers the numbers. */
export class StepGrid {
  #measureCount = 0;
  readonly #limit: number;
  readonly #series = new Map<string, GridSeries & { cells: Cells }>();
  readonly #step: Kind = { width: 1, keys: new Set() };
  readonly #call: Kind = { width: 1, keys: new Set() };

  constructor(limit: number = CELL_LIMIT) {
    this.#limit = limit;
  }

  /** Adds a record's numbers, one for each measure; later records may have more measures. */
  add(
    at: GridSeries & { readonly step: number | null; readonly call: number },
    values: readonly (number | null)[],
  ): void {
    const isStep = at.step !== null;
    const kind = isStep ? this.#step : this.#call;
    const series = this.#seriesOf(at);
    this.#measureCount = Math.max(this.#measureCount, values.length);
    kind.keys.add(Math.floor((at.step ?? at.call) / kind.width));
    this.#narrow();
    const key = `${isStep ? "s" : "c"}${Math.floor((at.step ?? at.call) / kind.width)}`;
    for (const [measure, value] of values.entries()) {
      if (value !== null) put(series.cells[measure] ??= new Map(), key, value);
    }
  }

  /** The grid as a table: series in the order in which they came, calls before steps. */
  finish(): GridTable {
    const keys = [
      ...columnsOf("c", this.#call),
      ...columnsOf("s", this.#step),
    ];
    const hasSteps = this.#step.keys.size > 0;
    const series = [...this.#series.values()];
    return {
      series: series.map(({ module, tensor }) => ({ module, tensor })),
      columns: keys.map(({ label, kind }) => hasSteps && kind === "c" ? `call ${label}` : label),
      columnNoun: hasSteps ? "step" : "call",
      width: Math.max(this.#step.width, this.#call.width),
      cells: (measure) =>
        series.map(({ cells }) => keys.map(({ key }) => cells[measure]?.get(key) ?? null)),
    };
  }

  #seriesOf({ module, tensor }: GridSeries): GridSeries & { cells: Cells } {
    const key = JSON.stringify([module, tensor]);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { module, tensor, cells: [] };
      this.#series.set(key, series);
    }
    return series;
  }

  /** Joins columns until all fit. */
  #narrow(): void {
    for (;;) {
      const columns = this.#step.keys.size + this.#call.keys.size;
      const count = columns * this.#series.size * this.#measureCount;
      const larger = this.#step.keys.size >= this.#call.keys.size ? this.#step : this.#call;
      if (larger.keys.size <= COLUMN_LIMIT && count <= this.#limit) return;
      if (larger.keys.size <= 1 || larger.width > WIDTH_LIMIT) return;
      this.#join(larger);
    }
  }

  #join(kind: Kind): void {
    kind.width *= 2;
    kind.keys = new Set([...kind.keys].map((key) => Math.floor(key / 2)));
    const letter = kind === this.#step ? "s" : "c";
    for (const series of this.#series.values()) {
      series.cells = series.cells.map((own) => {
        const joined = new Map<string, number>();
        for (const [key, value] of own) {
          const isOfKind = key.startsWith(letter);
          put(joined, isOfKind ? `${letter}${Math.floor(Number(key.slice(1)) / 2)}` : key, value);
        }
        return joined;
      });
    }
  }
}

/** Keeps the larger magnitude; NaN is larger than all. */
function put(cells: Map<string, number>, key: string, value: number): void {
  const known = cells.get(key);
  const isLarger = known === undefined || Number.isNaN(value) ||
    Math.abs(value) > Math.abs(known);
  if (isLarger) cells.set(key, value);
}

function columnsOf(
  kind: "s" | "c",
  { keys, width }: Kind,
): { readonly kind: string; readonly key: string; readonly label: string }[] {
  return [...keys].sort((one, other) => one - other).map((key) => {
    const first = key * width;
    const label = width === 1 ? String(first) : `${first}–${first + width - 1}`;
    return { kind, key: `${kind}${key}`, label };
  });
}
