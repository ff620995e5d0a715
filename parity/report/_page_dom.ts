// The part of the browser that the page's script uses. Written down here because the library's own type
// check has no DOM: it would make `document` a name that every file may use.

/** An element. */
export interface PageElement {
  textContent: string | null;
  className: string;
  hidden: boolean;
  tabIndex: number;
  /** Of inputs and selects. */
  value: string;
  checked: boolean;
  /** Of a canvas. */
  width: number;
  height: number;
  readonly clientWidth: number;
  readonly dataset: Record<string, string | undefined>;
  readonly style: { setProperty(name: string, value: string): void };
  readonly classList: { toggle(name: string, isOn: boolean): void };
  append(...children: (PageElement | string)[]): void;
  replaceChildren(...children: (PageElement | string)[]): void;
  setAttribute(name: string, value: string): void;
  getAttribute(name: string): string | null;
  removeAttribute(name: string): void;
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
  focus(options?: { readonly preventScroll?: boolean }): void;
  scrollIntoView(options: { readonly block: "nearest" | "center" }): void;
  closest(selector: string): PageElement | null;
  getBoundingClientRect(): { readonly left: number; readonly width: number };
  getContext(kind: "2d"): PageBrush | null;
}

/** A pointer or key event. */
export interface PageEvent {
  readonly key: string;
  readonly clientX: number;
  readonly altKey: boolean;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly shiftKey: boolean;
  readonly target: PageElement;
  preventDefault(): void;
}

/** What a canvas is drawn with. */
export interface PageBrush {
  fillStyle: string;
  strokeStyle: string;
  lineWidth: number;
  font: string;
  textAlign: "center" | "left" | "right";
  textBaseline: "middle";
  setTransform(a: number, b: number, c: number, d: number, e: number, f: number): void;
  clearRect(x: number, y: number, width: number, height: number): void;
  fillRect(x: number, y: number, width: number, height: number): void;
  strokeRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number): void;
  measureText(text: string): { readonly width: number };
}

/** `document`. */
export interface PageDocument {
  readonly documentElement: PageElement;
  getElementById(id: string): PageElement | null;
  createElement(name: string): PageElement;
  querySelectorAll(selector: string): Iterable<PageElement>;
  addEventListener(type: string, listener: (event: PageEvent) => void): void;
  readonly activeElement: PageElement | null;
}

/** `window`. */
export interface PageWindow {
  readonly innerWidth: number;
  readonly devicePixelRatio: number;
  readonly IntersectionObserver: new (
    callback: (
      entries: readonly { readonly isIntersecting: boolean; readonly target: PageElement }[],
    ) => void,
    options: { readonly rootMargin: string },
  ) => { observe(element: PageElement): void };
  getComputedStyle(element: PageElement): {
    readonly backgroundColor: string;
    readonly color: string;
    readonly fontFamily: string;
  };
  matchMedia(
    query: string,
  ): { readonly matches: boolean; addEventListener(type: string, listener: () => void): void };
  addEventListener(type: string, listener: () => void): void;
  requestAnimationFrame(callback: () => void): number;
}
