// Debian's chromium, driven over the DevTools protocol: a page is opened, keys are pressed, the document is
// asked, pictures are taken. Everything that the page logs or fetches is kept, so that a test can say that it
// did neither. It knows no page.

import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PATH = "/usr/bin/chromium";
/** Without a GPU, a sandbox (there is none for root), first-run pages or calls home. */
const FLAGS: readonly string[] = [
  "--headless=new",
  "--remote-debugging-port=0",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-extensions",
  "--disable-sync",
  "--no-first-run",
  "--no-default-browser-check",
  "--hide-scrollbars",
  "--force-device-scale-factor=1",
  "--font-render-hinting=none",
];
const ADDRESS = /DevTools listening on (ws:\/\/\S+)/;

/** Why tests that need the browser are skipped; undefined when they can run. */
export const NO_CHROMIUM: string | undefined = existsSync(PATH)
  ? undefined
  : `${PATH} is not installed`;

type Json = Record<string, unknown>;

/** A browser of its own profile; disposing of it ends the process and removes the profile. */
export class Chromium implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #reading: Promise<void>;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, PromiseWithResolvers<Json>>();
  readonly #listeners = new Map<string, (method: string, params: Json) => void>();
  #count = 0;

  private constructor(
    process: Deno.ChildProcess,
    profile: string,
    socket: WebSocket,
    reading: Promise<void>,
  ) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    this.#reading = reading;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(String(data)) as Json);
  }

  /** Starts a browser. */
  static async start(): Promise<Chromium> {
    const profile = mkdtempSync(join(tmpdir(), "hookline-chromium-"));
    const process = new Deno.Command(PATH, {
      args: [...FLAGS, `--user-data-dir=${profile}`, "about:blank"],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const address = Promise.withResolvers<string>();
    const reading = readLines(process.stderr, (line) => {
      const found = ADDRESS.exec(line)?.[1];
      if (found !== undefined) address.resolve(found);
    }).then(() => address.reject(new Error("chromium ended before it listened")));
    const socket = new WebSocket(await address.promise);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    return new Chromium(process, profile, socket, reading);
  }

  /** Opens a page of this size. */
  async open(
    url: string,
    { width, height }: { width: number; height: number },
  ): Promise<BrowserPage> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const session = String(sessionId);
    const page = new BrowserPage((method, params) => this.send(method, params, session));
    this.#listeners.set(session, (method, params) => page.receive(method, params));
    for (const domain of ["Page", "Runtime", "Log", "Network", "Security"]) {
      await page.send(`${domain}.enable`);
    }
    await page.resize(width, height);
    await page.navigate(url);
    return page;
  }

  /** Sends one command. */
  send(method: string, params: Json = {}, sessionId?: string): Promise<Json> {
    const id = ++this.#count;
    const waiting = Promise.withResolvers<Json>();
    this.#waiting.set(id, waiting);
    this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    return waiting.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.send("Browser.close").catch(() => {});
    await closed;
    await this.#process.status;
    await this.#reading.catch(() => {});
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  #receive({ id, result, error, method, params, sessionId }: Json): void {
    if (typeof id !== "number") {
      this.#listeners.get(String(sessionId))?.(String(method), params as Json);
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result as Json);
    else waiting?.reject(new Error(JSON.stringify(error)));
  }
}

/** One page. */
export class BrowserPage {
  /** What the page logged, threw or was refused. */
  readonly complaints: string[] = [];
  /** What it asked the network or the disk for, its own file included. */
  readonly requests: string[] = [];
  readonly send: (method: string, params?: Json) => Promise<Json>;
  #loaded = Promise.withResolvers<void>();

  constructor(send: (method: string, params?: Json) => Promise<Json>) {
    this.send = send;
  }

  /** Takes an event. */
  receive(method: string, params: Json): void {
    if (method === "Page.loadEventFired") this.#loaded.resolve();
    if (method === "Network.requestWillBeSent") {
      this.requests.push(String((params["request"] as Json)["url"]));
    }
    if (
      method === "Runtime.exceptionThrown" || method === "Runtime.consoleAPICalled" ||
      method === "Log.entryAdded"
    ) this.complaints.push(JSON.stringify(params));
  }

  /** Goes to a page and waits until it has loaded. */
  async navigate(url: string): Promise<void> {
    this.#loaded = Promise.withResolvers();
    await this.send("Page.navigate", { url });
    await this.#loaded.promise;
  }

  /** Gives the page another size. */
  async resize(width: number, height: number): Promise<void> {
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
  }

  /** What the system says of light and dark, or that the page is printed. */
  async media(scheme: "light" | "dark", kind: "screen" | "print" = "screen"): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await this.send("Emulation.setEmulatedMedia", { media: kind, features });
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const found = await this.send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (found["exceptionDetails"] !== undefined) {
      throw new Error(JSON.stringify(found["exceptionDetails"]));
    }
    return (found["result"] as Json)["value"];
  }

  /** Presses a key, as a keyboard would. */
  async press(key: string, modifiers: { readonly shift?: true } = {}): Promise<void> {
    const text = key.length === 1 ? { text: key } : key === "Enter" ? { text: "\r" } : {};
    const code = VIRTUAL_KEYS[key];
    const windowsVirtualKeyCode = code ?? key.toUpperCase().charCodeAt(0);
    const shared = { key, windowsVirtualKeyCode, modifiers: modifiers.shift === true ? 8 : 0 };
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...shared, ...text });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...shared });
  }

  /** Presses one key after another. */
  async type(text: string): Promise<void> {
    for (const key of text) await this.press(key);
  }

  /** Clicks into the middle of an element. */
  async click(selector: string): Promise<void> {
    const at = await this.evaluate(
      `(() => { const element = document.querySelector(${JSON.stringify(selector)});
        element.scrollIntoView({ block: "center" });
        const { left, top, width, height } = element.getBoundingClientRect();
        return { x: left + width / 2, y: top + height / 2 }; })()`,
    ) as Json;
    const shared = { ...at, button: "left", clickCount: 1 };
    await this.send("Input.dispatchMouseEvent", { type: "mousePressed", ...shared });
    await this.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...shared });
  }

  /** Waits until what was changed is drawn. */
  async settle(): Promise<void> {
    await this.evaluate(
      "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))",
    );
  }

  /** What is seen, as PNG. */
  async screenshot(): Promise<Uint8Array<ArrayBuffer>> {
    await this.settle();
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Uint8Array.fromBase64(String(data));
  }
}

const VIRTUAL_KEYS: Readonly<Record<string, number>> = {
  Backspace: 8,
  Tab: 9,
  Enter: 13,
  Escape: 27,
  End: 35,
  Home: 36,
  ArrowLeft: 37,
  ArrowUp: 38,
  ArrowRight: 39,
  ArrowDown: 40,
  ".": 190,
  "/": 191,
  "*": 56,
};

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of stream) {
    const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(onLine);
  }
}
