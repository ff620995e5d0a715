// The page's script: puts tree, heat map, panel, filter and theme together. Part of the page, as the other
// `_page_*` files: `_report_page.ts` puts the functions' text into it.

import type { PageDocument, PageElement, PageEvent, PageWindow } from "./_page_dom.ts";
import { showDetail } from "./_page_detail.ts";
import { drawHead, drawStrip, stripStyle } from "./_page_strip.ts";
import { buildTree } from "./_page_tree.ts";
import type { Measure, ModuleRow, PageData } from "./_report_content.ts";

/** The page's element of this id; the page is ours, so it is there. */
export function pageElement(page: PageDocument, id: string): PageElement {
  return page.getElementById(id) as PageElement;
}

/** Starts the page. */
export function runPage(page: PageDocument, view: PageWindow): void {
  const data = JSON.parse(pageElement(page, "data").textContent ?? "") as PageData;
  const columns = data.columns.length;
  let measure = data.measures[0] as Measure;
  let cursor = -1;
  let style = stripStyle(page, view, data);
  const drawn = new Set<number>();
  const near = new Set<number>();

  const detail = (row: number): void => {
    const found = data.rows[row] as ModuleRow;
    showDetail(page, pageElement(page, "detail"), found, data, measure, cursor);
  };
  const tree = buildTree(page, pageElement(page, "tree"), data, detail);
  const draw = (row: number): void => {
    drawn.add(row);
    const strip = tree.parts[row]?.strip as PageElement;
    drawStrip(strip, data.rows[row] as ModuleRow, data, measure, style, cursor);
  };
  const drawNear = (): void => {
    drawn.clear();
    near.forEach(draw);
  };
  const restyle = (): void => {
    style = stripStyle(page, view, data);
    page.documentElement.style.setProperty("--strip", `${columns * style.cellWidth}px`);
    drawHead(pageElement(page, "columns"), data, style);
    drawNear();
  };
  const observer = new view.IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const row = Number(target.dataset["row"]);
      if (!isIntersecting) near.delete(row);
      else {
        near.add(row);
        if (!drawn.has(row)) draw(row);
      }
    }
  }, { rootMargin: "400px" });
  tree.parts.forEach(({ element }) => observer.observe(element));

  const setCursor = (column: number): void => {
    cursor = Math.max(-1, Math.min(columns - 1, column));
    drawNear();
    if (tree.selected() >= 0) detail(tree.selected());
  };
  watchControls(page, data, {
    tree,
    setMeasure(next) {
      measure = next;
      tree.showMeasure(next);
      drawNear();
      if (tree.selected() >= 0) detail(tree.selected());
    },
  });
  watchTheme(page, view, restyle);
  pageElement(page, "tree").addEventListener("keydown", (event) => {
    if (!event.shiftKey || event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    setCursor(cursor + (event.key === "ArrowRight" ? 1 : -1));
  });
  pageElement(page, "tree").addEventListener("click", ({ target, clientX }) => {
    if (target.className !== "strip") return;
    setCursor(Math.floor((clientX - target.getBoundingClientRect().left) / style.cellWidth));
  });
  view.addEventListener("resize", restyle);
  view.addEventListener("beforeprint", () => data.rows.forEach((_, row) => draw(row)));
  restyle();
  tree.select(Math.max(0, data.firstRow), false);
}

/** Filter, measure, folding and the ranking's buttons. */
export function watchControls(
  page: PageDocument,
  data: PageData,
  { tree, setMeasure }: {
    readonly tree: ReturnType<typeof buildTree>;
    readonly setMeasure: (measure: Measure) => void;
  },
): void {
  const filter = pageElement(page, "filter");
  const onlyBad = pageElement(page, "only-bad");
  const apply = (): void => {
    const found = tree.filter(filter.value, onlyBad.checked);
    const all = data.rows.length;
    pageElement(page, "found").textContent = found === all
      ? `${all} rows`
      : `${found} of ${all} rows`;
  };
  filter.addEventListener("input", apply);
  onlyBad.addEventListener("change", apply);
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Escape") filter.value = "";
    else if (event.key !== "Enter" && event.key !== "ArrowDown") return;
    event.preventDefault();
    apply();
    if (event.key === "Escape") return;
    const first = tree.parts.findIndex(({ element }) => !element.hidden);
    const selected = tree.selected();
    const isShown = tree.parts[selected]?.element.hidden === false;
    tree.select(isShown ? selected : first, true);
  });
  page.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, select") !== null) return;
    event.preventDefault();
    filter.focus();
  });
  const select = page.getElementById("measure");
  select?.addEventListener("change", () => {
    setMeasure(data.measures[Number(select.value)] as Measure);
    showLegend(page, data.measures[Number(select.value)] as Measure);
    apply();
  });
  pageElement(page, "expand").addEventListener("click", () => tree.expandAll(true));
  pageElement(page, "collapse").addEventListener("click", () => tree.expandAll(false));
  for (const button of page.querySelectorAll("[data-go]")) {
    button.addEventListener("click", () => {
      const row = Number(button.dataset["go"]);
      filter.value = "";
      onlyBad.checked = false;
      apply();
      tree.select(row, true);
      tree.parts[row]?.element.scrollIntoView({ block: "center" });
    });
  }
  apply();
}

/** Writes what the levels of a measure mean. */
export function showLegend(page: PageDocument, { levels, about }: Measure): void {
  [...page.querySelectorAll("#legend .meaning")].forEach((element, level) => {
    element.textContent = levels[level] ?? "";
  });
  pageElement(page, "about-measure").textContent = about;
}

/** The theme: the system's, or the one that the reader picks. */
export function watchTheme(page: PageDocument, view: PageWindow, restyle: () => void): void {
  const button = pageElement(page, "theme");
  const system = view.matchMedia("(prefers-color-scheme: dark)");
  const isDark = (): boolean => {
    const chosen = page.documentElement.dataset["theme"];
    return chosen === undefined ? system.matches : chosen === "dark";
  };
  const show = (): void => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    restyle();
  };
  button.addEventListener("click", (_event: PageEvent) => {
    page.documentElement.dataset["theme"] = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();
}
