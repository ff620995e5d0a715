// Makes the pictures of docs/images anew, in Debian's chromium: `deno run -A tests/docs/update_images.ts`.
// What they show is real: bert with one altered bias, and a trace of which some steps were altered.

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { compareReportHtml } from "../../parity/report/compare_report_html.ts";
import { diffHeat } from "../../parity/report/diff_heat.ts";
import { diffReportHtml } from "../../parity/report/diff_report_html.ts";
import { traceReportHtml } from "../../parity/report/trace_report_html.ts";
import { diffTraces } from "../../parity/trace_diff.ts";
import { fastvideoRows } from "../parity/_traces.ts";
import { faultyBertReport } from "../parity/report/_faulty_bert.ts";
import { ROOT } from "../suites.ts";
import { Chromium } from "../support/chromium.ts";
import { fixturePath } from "../support/fixture_path.ts";

const STEPS = 24;
const FIRST_BAD = 20;

/** A trace of several steps, from FastVideo's one of bert; from the 21st record on it may drift. */
function stepTrace(isBad: boolean): string {
  const rows = fastvideoRows("bert");
  return Array.from({ length: STEPS }, (_, step) =>
    rows.map((row, at) => {
      const growth = 1 + step / STEPS;
      const drift = isBad && at >= FIRST_BAD ? 1e-6 * Math.exp((step - at / 8) * 0.6) : 0;
      const scaled = (value: unknown) => Number(value) * growth * (1 + drift);
      return JSON.stringify({
        ...row,
        step,
        abs_mean: scaled(row["abs_mean"]),
        max: scaled(row["max"]),
        std: scaled(row["std"]),
      });
    })).flat().join("\n") + "\n";
}

async function main(): Promise<void> {
  const images = join(ROOT, "docs", "images");
  mkdirSync(images, { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), "hookline-images-"));
  process.chdir(folder); // so that the pages show short paths
  try {
    copyFileSync(fixturePath("torch", "bert", "model.onnx"), "bert.onnx");
    writeFileSync("torch.jsonl", stepTrace(false));
    writeFileSync("onnx.jsonl", stepTrace(true));
    const heat = diffHeat();
    const diff = await diffTraces("torch.jsonl", "onnx.jsonl", { onCompared: heat.onCompared });
    const comparison = await faultyBertReport();
    const pages: readonly (readonly [string, "light" | "dark", string])[] = [
      [
        "compare",
        "light",
        compareReportHtml({
          ...comparison,
          reference: { ...comparison.reference, path: "bert.onnx" },
          candidate: { ...comparison.candidate, path: "bert_altered.onnx" },
        }),
      ],
      ["diff", "dark", diffReportHtml(diff, heat.finish())],
      ["trace", "light", (await traceReportHtml("torch.jsonl")).html],
    ];
    await using browser = await Chromium.start();
    for (const [name, scheme, html] of pages) {
      writeFileSync(`${name}.html`, html);
      const url = pathToFileURL(join(folder, `${name}.html`)).href;
      const page = await browser.open(url, { width: 1080, height: 900 });
      await page.media(scheme);
      await page.evaluate("scrollTo(0, 56)"); // past the line with the paths
      writeFileSync(join(images, `report_${name}.png`), await page.screenshot());
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) await main();
