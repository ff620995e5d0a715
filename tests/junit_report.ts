// Reads the JUnit file that `deno test` writes. Counts tests, not steps: a step's outcome is part of
// its test's. Knows nothing of suites or processes.

/** One test of a report. */
export interface ReportedTest {
  /** The test's name. */
  readonly name: string;
  /** The file that holds it, as `deno test` printed it. */
  readonly file: string;
  /** How it ended. */
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it was skipped, from `[skipped: reason]` in its name. */
  readonly reason?: string;
}

const CASE = /<testcase name="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g;
const ENTITIES: Readonly<Record<string, string>> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&apos;": "'",
};

/** The tests of a JUnit report; steps (`test > step`) are folded into their test. */
export function parseJunitReport(xml: string): ReportedTest[] {
  const tests: ReportedTest[] = [];
  const seen = new Set<string>();
  for (const [, rawName = "", rawFile = "", body = ""] of xml.matchAll(CASE)) {
    const name = unescapeXml(rawName);
    const file = unescapeXml(rawFile);
    if (isStep(name, file, seen)) continue;
    seen.add(`${file}\n${name}`);
    if (body.includes("<failure")) tests.push({ name, file, outcome: "failed" });
    else if (body.includes("<skipped")) {
      const reason = /\[skipped: (.*)\]$/.exec(name)?.[1];
      tests.push({ name, file, outcome: "skipped", ...(reason === undefined ? {} : { reason }) });
    } else tests.push({ name, file, outcome: "passed" });
  }
  return tests;
}

function isStep(name: string, file: string, seen: ReadonlySet<string>): boolean {
  for (let at = name.indexOf(" > "); at !== -1; at = name.indexOf(" > ", at + 1)) {
    if (seen.has(`${file}\n${name.slice(0, at)}`)) return true;
  }
  return false;
}

function unescapeXml(text: string): string {
  return text
    .replace(
      /&#(x?)([0-9a-f]+);/gi,
      (_, hex, code) => String.fromCodePoint(Number.parseInt(code, hex === "" ? 10 : 16)),
    )
    .replace(/&(amp|lt|gt|quot|apos);/g, (entity) => ENTITIES[entity] ?? entity);
}
