// The pages in a real browser: keys are pressed, the document is asked, pictures are looked at.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { compareReportHtml } from "../../../parity/report/compare_report_html.ts";
import { diffHeat } from "../../../parity/report/diff_heat.ts";
import { diffReportHtml } from "../../../parity/report/diff_report_html.ts";
import { traceReportHtml } from "../../../parity/report/trace_report_html.ts";
import { diffTraces } from "../../../parity/trace_diff.ts";
import { skippable } from "../../skippable.ts";
import { type BrowserPage, Chromium, NO_CHROMIUM } from "../../support/chromium.ts";
import { pixelColors, type Pixels, pngPixels } from "../../support/png_pixels.ts";
import { fastvideoRows, fastvideoTrace, trace, TraceFolder } from "../_traces.ts";
import { FAULTY_MODULE, faultyBertReport } from "./_faulty_bert.ts";
import { oddReport } from "./_reports.ts";

const DESKTOP = { width: 1280, height: 900 };
const MEDIUM = { width: 1000, height: 800 };
const NARROW = { width: 420, height: 860 };

/** A page on disk and open. */
class OpenPage implements Disposable {
  readonly page: BrowserPage;
  readonly #folder: string;

  private constructor(page: BrowserPage, folder: string) {
    this.page = page;
    this.#folder = folder;
  }

  static async of(browser: Chromium, html: string): Promise<OpenPage> {
    const folder = mkdtempSync(join(tmpdir(), "hookline-report-"));
    const path = join(folder, "report.html");
    writeFileSync(path, html);
    return new OpenPage(await browser.open(pathToFileURL(path).href, DESKTOP), folder);
  }

  /** Fails when the page logged, threw, was refused or fetched anything. */
  assertQuiet(): void {
    assert.deepEqual(this.page.complaints, []);
    assert.equal(this.page.requests.length, 1, this.page.requests.join(" "));
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

/** What the page says of the selected row. */
async function selected(page: BrowserPage): Promise<unknown> {
  return await page.evaluate(`document.querySelector('[aria-selected="true"]')?.dataset.row + " " +
    document.querySelector("#detail h2").textContent`);
}

const shownRows = (page: BrowserPage): Promise<unknown> =>
  page.evaluate(`[...document.querySelectorAll(".row")].filter((row) => !row.hidden).length`);

/** Brings the selected row into the middle of what is seen. */
async function showSelected(page: BrowserPage): Promise<void> {
  await page.evaluate(
    `document.querySelector('[aria-selected="true"]').scrollIntoView({ block: "center" })`,
  );
  await page.settle();
}

/** Where an element lies, and the colour that its style gives it. */
async function placeOf(page: BrowserPage, selector: string) {
  return await page.evaluate(`(() => {
    const element = document.querySelector(${JSON.stringify(selector)});
    const { left, top, width, height } = element.getBoundingClientRect();
    const color = getComputedStyle(element).backgroundColor.match(/[0-9.]+/g).map(Number);
    return { left, top, width, height, color };
  })()`) as {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
    readonly color: readonly number[];
  };
}

/** How many pixels of a rectangle have a colour. */
function countColor(
  pixels: Pixels,
  { left, top, width, height }: { left: number; top: number; width: number; height: number },
  color: readonly number[],
): number {
  let count = 0;
  for (let y = Math.ceil(top); y < top + height - 1; y++) {
    for (let x = Math.ceil(left); x < left + width - 1; x++) {
      if (pixels.at(x, y).every((channel, at) => Math.abs(channel - (color[at] ?? -9)) <= 2)) {
        count++;
      }
    }
  }
  return count;
}

function luminance([red, green, blue]: readonly number[]): number {
  const [r, g, b] = [red, green, blue].map((channel = 0) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

Deno.test({
  ...skippable(
    "the page of a comparison shows the fault, light and dark, wide and narrow",
    NO_CHROMIUM,
  ),
  async fn() {
    await using browser = await Chromium.start();
    using open = await OpenPage.of(browser, compareReportHtml(await faultyBertReport()));
    const { page } = open;
    assert.equal(
      await page.evaluate(`document.querySelector("h1").textContent`),
      `${FAULTY_MODULE} introduces the error.`,
    );
    assert.match(String(await selected(page)), new RegExp(`^\\d+ ${FAULTY_MODULE}$`));
    const pages: string[] = [];
    for (const size of [DESKTOP, MEDIUM, NARROW]) {
      for (const scheme of ["light", "dark"] as const) {
        await page.resize(size.width, size.height);
        await page.media(scheme);
        await page.settle();
        // Nothing is wider than the window.
        const width = await page.evaluate("document.documentElement.scrollWidth");
        assert.equal(width, size.width);
        const panel = "document.querySelector('#detail')";
        assert.equal(
          await page.evaluate(`${panel}.scrollWidth - ${panel}.clientWidth`),
          0,
          `panel at ${size.width}`,
        );
        const row = '[aria-selected="true"]';
        await showSelected(page);
        const chip = await placeOf(page, `${row} .chip`);
        const strip = await placeOf(page, `${row} .strip`);
        const pixels = pngPixels(await page.screenshot());
        assert.deepEqual([pixels.width, pixels.height], [size.width, size.height]);
        const colors = pixelColors(pixels);
        assert.ok(colors.length > 50, "the page is not blank");
        const background = (colors[0]?.[0] ?? "").split(",").map(Number);
        assert.equal(luminance(background) > 0.5, scheme === "light", `${background}`);
        // The level's colour fills the chip and both cells of the strip, but for the text in them.
        const level = await page.evaluate(`document.querySelector('${row}').dataset.level`);
        assert.equal(level, "5");
        assert.ok(countColor(pixels, chip, chip.color) > 150, "chip");
        assert.ok(
          countColor(pixels, strip, chip.color) > 0.6 * strip.width * strip.height,
          "strip",
        );
        pages.push(colors.slice(0, 20).join(";"));
      }
    }
    assert.equal(new Set(pages).size, 6);
    open.assertQuiet();
  },
});

Deno.test({
  ...skippable(
    "the module tree obeys the keys of the ARIA tree pattern, and shows where the focus is",
    NO_CHROMIUM,
  ),
  async fn() {
    await using browser = await Chromium.start();
    using open = await OpenPage.of(browser, compareReportHtml(oddReport()));
    const { page } = open;
    const focused = () =>
      page.evaluate("document.activeElement.closest('.row')?.dataset.row ?? ''");
    const rows = await shownRows(page);
    const before = String(await selected(page));
    // From the ranking's button to the tree by Tab alone: one stop for the whole tree.
    await page.evaluate(`document.querySelector("#collapse").focus()`);
    await page.press("Tab");
    assert.equal(await focused(), before.split(" ")[0]);
    assert.ok(
      Number(
        await page.evaluate(
          `parseFloat(getComputedStyle(document.activeElement).outlineWidth)`,
        ),
      ) >= 2,
      "the focus is visible",
    );
    await page.press("Home");
    assert.match(String(await selected(page)), /^0 a$/);
    await page.press("ArrowDown");
    assert.equal(await focused(), "1");
    assert.match(String(await selected(page)), /^1 a\.b$/);
    await page.press("ArrowLeft");
    await page.press("ArrowLeft");
    assert.equal(
      await page.evaluate(`document.activeElement.getAttribute("aria-expanded")`),
      "false",
    );
    assert.ok(Number(await shownRows(page)) < Number(rows));
    // What a shut module hides is said on it.
    const inside = `getComputedStyle(document.querySelector(".row .inside")).display`;
    assert.equal(await page.evaluate(inside), "none"); // its own level is the worst already
    await page.press("ArrowRight");
    assert.equal(await shownRows(page), rows);
    await page.press("End");
    assert.match(String(await selected(page)), /\(the model\)$/);
    await page.press("a");
    assert.match(String(await selected(page)), /^0 a$/);
    // Shift with an arrow goes through the columns; the panel marks the same one.
    await page.press("ArrowRight", { shift: true });
    await page.press("ArrowRight", { shift: true });
    assert.equal(
      await page.evaluate(`document.querySelector("#detail .cursor th").textContent`),
      "local #0",
    );
    open.assertQuiet();
  },
});

Deno.test({
  ...skippable("the filter finds modules, keeps what is around them and can be left", NO_CHROMIUM),
  async fn() {
    await using browser = await Chromium.start();
    using open = await OpenPage.of(browser, compareReportHtml(await faultyBertReport()));
    const { page } = open;
    const all = await shownRows(page);
    await page.press("/");
    await page.type("layer.1.inter");
    assert.equal(await page.evaluate("document.activeElement.id"), "filter");
    assert.equal(
      await page.evaluate(`document.querySelector("#found").textContent`),
      `3 of ${all} rows`,
    );
    const shown = await page.evaluate(
      `[...document.querySelectorAll(".row")].filter((row) => !row.hidden)
        .map((row) => row.querySelector(".name").textContent)`,
    );
    assert.deepEqual(shown, [
      "encoder",
      "layer",
      "1",
      "intermediate",
      "dense",
      "intermediate_act_fn",
    ]);
    await page.press("Enter");
    assert.match(String(await selected(page)), new RegExp(FAULTY_MODULE));
    await page.press("/");
    await page.press("Escape");
    assert.equal(await shownRows(page), all);
    await page.click("#only-bad");
    const bad = await page.evaluate(
      `[...document.querySelectorAll(".row")].filter((row) => Number(row.dataset.level) > 2).length`,
    );
    assert.equal(
      await page.evaluate(`document.querySelector("#found").textContent`),
      `${bad} of ${all} rows`,
    );
    assert.ok(Number(bad) > 1 && Number(bad) < Number(all));
    // The ranking's button leads to the row, filtered or not.
    await page.click("[data-go]");
    assert.equal(await shownRows(page), all);
    assert.match(String(await selected(page)), new RegExp(FAULTY_MODULE));
    open.assertQuiet();
  },
});

Deno.test({
  ...skippable("the theme's button overrules the system, and print is light", NO_CHROMIUM),
  async fn() {
    await using browser = await Chromium.start();
    using open = await OpenPage.of(browser, compareReportHtml(oddReport()));
    const { page } = open;
    const ground = async () => {
      const color = await page.evaluate("getComputedStyle(document.body).backgroundColor");
      return luminance((String(color).match(/[\d.]+/g) ?? []).map(Number)) > 0.5 ? "light" : "dark";
    };
    await page.media("light");
    assert.equal(await ground(), "light");
    await page.click("#theme");
    assert.equal(await ground(), "dark");
    assert.equal(await page.evaluate(`document.querySelector("#theme").textContent`), "Light");
    await page.media("dark", "print");
    assert.equal(await ground(), "light");
    assert.equal(
      await page.evaluate(`getComputedStyle(document.querySelector(".controls")).display`),
      "none",
    );
    await page.media("dark");
    await page.click("#theme");
    assert.equal(await ground(), "light");
    open.assertQuiet();
  },
});

Deno.test({
  ...skippable(
    "text on every level has enough contrast, light and dark, on both scales",
    NO_CHROMIUM,
  ),
  async fn() {
    await using browser = await Chromium.start();
    const pages = [
      compareReportHtml(oddReport()),
      (await traceReportHtml(fastvideoTrace("bert"))).html,
    ];
    for (const html of pages) {
      using open = await OpenPage.of(browser, html);
      for (const scheme of ["light", "dark"] as const) {
        await open.page.media(scheme);
        const found = await open.page.evaluate(
          `[...document.querySelectorAll("#legend .chip, #answer h1, .hint, .status, #detail td")]
            .map((element) => {
              let ground = element;
              const fill = () => getComputedStyle(ground).backgroundColor;
              while (/, 0\\)$/.test(fill()) && ground.parentElement) ground = ground.parentElement;
              return [element.className, getComputedStyle(element).color, fill()];
            })`,
        ) as readonly [string, string, string][];
        assert.ok(found.length > 12);
        for (const [name, ...colors] of found) {
          const [one, other] = colors.map((color) =>
            luminance((color.match(/[\d.]+/g) ?? []).map(Number)) + 0.05
          ) as [number, number];
          const contrast = Math.max(one, other) / Math.min(one, other);
          assert.ok(contrast >= 4.5, `${scheme} ${name}: ${contrast.toFixed(2)} ${colors}`);
        }
      }
      open.assertQuiet();
    }
  },
});

Deno.test({
  ...skippable("hostile names stand as text, and a script that got in would not run", NO_CHROMIUM),
  async fn() {
    await using browser = await Chromium.start();
    const html = compareReportHtml(oddReport());
    using open = await OpenPage.of(browser, html);
    assert.equal(await open.page.evaluate(`document.querySelectorAll("script").length`), 2);
    const names = await open.page.evaluate(
      `[...document.querySelectorAll(".row .name, #detail h2, #answer code")].map((e) => e.textContent).join()`,
    );
    assert.ok(String(names).includes(`<script>alert(1)</script>"'&<!--\\u{202e}gnp`));
    open.assertQuiet();
    // The same page with a script let in on purpose: the policy refuses it.
    using broken = await OpenPage.of(
      browser,
      html.replace("</main>", "<script>document.title = 'got in';</script></main>"),
    );
    assert.notEqual(await broken.page.evaluate("document.title"), "got in");
    assert.match(broken.page.complaints.join(), /Content Security Policy/);
  },
});

Deno.test({
  ...skippable(
    "a diff of 2,000 modules and 50 steps opens at the fault and draws its steps",
    NO_CHROMIUM,
  ),
  async fn() {
    using folder = new TraceFolder();
    const rows = trace(2_000, 50);
    const bad = rows.map((item, at) =>
      at % 2_000 === 700 && at > 60_000 ? { ...item, max: 3 } : item
    );
    const heat = diffHeat();
    const diff = await diffTraces(folder.write(rows), folder.write(bad), {
      onCompared: heat.onCompared,
    });
    await using browser = await Chromium.start();
    using open = await OpenPage.of(browser, diffReportHtml(diff, heat.finish()));
    const { page } = open;
    assert.match(String(await selected(page)), / layers\.700$/);
    await page.click("[data-go]");
    await showSelected(page);
    const strip = await placeOf(page, '[aria-selected="true"] .strip');
    const chip = await placeOf(page, '[aria-selected="true"] .chip');
    const pixels = pngPixels(await page.screenshot());
    const cell = strip.width / 50;
    for (const [step, isBad] of [[0, false], [29, false], [30, true], [49, true]] as const) {
      const left = strip.left + step * cell;
      const count = countColor(pixels, { ...strip, left, width: cell }, chip.color);
      assert.equal(count > 40, isBad, `step ${step}: ${count} pixels`);
    }
    // Rows far away are drawn when they come into view.
    await page.press("End");
    await showSelected(page);
    assert.match(String(await selected(page)), / layers\.1999$/);
    const last = await placeOf(page, '[aria-selected="true"] .strip');
    const there = pngPixels(await page.screenshot());
    const equal = await placeOf(page, "#legend .chip.l0");
    assert.ok(countColor(there, last, equal.color) > 0.5 * last.width * last.height);
    open.assertQuiet();
  },
});

Deno.test({
  ...skippable("strips of many steps leave room for names in windows of every width", NO_CHROMIUM),
  async fn() {
    using folder = new TraceFolder();
    const rows = fastvideoRows("bert");
    const steps = Array.from({ length: 24 }, (_, step) => rows.map((row) => ({ ...row, step })));
    const { html } = await traceReportHtml(folder.write(steps.flat()));
    await using browser = await Chromium.start();
    using open = await OpenPage.of(browser, html);
    for (const { width, height } of [DESKTOP, MEDIUM, { width: 901, height: 700 }, NARROW]) {
      await open.page.resize(width, height);
      await open.page.settle();
      const bad = await open.page.evaluate(`(() => {
        const edge = document.querySelector("#tree").getBoundingClientRect().right;
        return [...document.querySelectorAll(".row")].filter((row) =>
          row.getBoundingClientRect().height > 60 ||
          row.querySelector(".strip").getBoundingClientRect().right > edge + 1
        ).map((row) => row.textContent);
      })()`);
      assert.deepEqual(bad, [], `${width}`);
    }
    open.assertQuiet();
  },
});

Deno.test({
  ...skippable(
    "the page of a trace switches its statistic, legend and numbers together",
    NO_CHROMIUM,
  ),
  async fn() {
    await using browser = await Chromium.start();
    const { html } = await traceReportHtml(fastvideoTrace("bert"));
    using open = await OpenPage.of(browser, html);
    const { page } = open;
    const state = () =>
      page.evaluate(`[document.querySelector(".row .value").textContent,
        document.querySelectorAll("#legend .meaning")[6].textContent,
        document.querySelector("#detail .cells caption").textContent]`);
    const before = await state() as string[];
    await page.evaluate(`document.querySelector("#measure").focus()`);
    await page.type("s"); // a select goes to the first option with this letter
    const after = await state() as string[];
    assert.deepEqual([before[2], after[2]], ["abs_mean, by call", "sum, by call"]);
    assert.notEqual(before[0], after[0]);
    assert.notEqual(before[1], after[1]);
    open.assertQuiet();
  },
});
