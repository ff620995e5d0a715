// The host's end of a line whose other end is played by the test: every lie that a plugin can tell.

import assert from "node:assert/strict";
import type { AuditEntry } from "../../../manifest/audit.ts";
import {
  type GuestLink,
  isolationFault,
  type LinkRequest,
  openGuestLink,
} from "../../../manifest/isolation/guest_link.ts";
import type { TensorMap } from "../../../tensor/tensor.ts";
import { expectCode } from "../../sessions/expect_code.ts";
import { map, specOf } from "./_hosting.ts";

interface Line {
  readonly link: GuestLink;
  readonly sent: Readonly<Record<string, unknown>>[];
  readonly audited: AuditEntry[];
  readonly forgeries: () => (string | null)[];
  readonly ends: () => number;
}

function openLine(): Line {
  const audited: AuditEntry[] = [];
  const sent: Readonly<Record<string, unknown>>[] = [];
  let ends = 0;
  const link = openGuestLink(specOf("", { audited }), {
    send: (message) => void sent.push(message),
    end: () => void ends++,
  });
  const forgeries = () =>
    audited.filter(({ permission }) => permission === "message").map(({ value }) => value);
  return { link, sent, audited, forgeries, ends: () => ends };
}

const asked: LinkRequest = {
  message: { op: "call", phase: "postForward" },
  module: "a",
  limitMs: 60_000,
  resultNames: ["y"],
};
const y = [{ name: "y", dtype: "float32", shape: [1], kind: "Float32Array", buffer: 0 }];
const closed = (link: GuestLink): void => link.end(isolationFault("steady", "was closed"));

Deno.test("a reply settles the request of its number, and no other", async () => {
  const { link, sent, forgeries } = openLine();
  const [first, second] = [link.request(asked), link.request(asked)];
  assert.deepEqual(sent.map(({ id }) => id), [1, 2]);
  link.receive({ id: 2, ok: true, tensors: y }, [Float32Array.of(5).buffer]);
  link.receive({ id: 2, ok: true, tensors: y }, [Float32Array.of(6).buffer]);
  link.receive({ id: 1, ok: true, tensors: null }, []);
  assert.deepEqual((await second).tensors?.["y"]?.data, Float32Array.of(5));
  assert.equal((await first).tensors, null);
  assert.deepEqual(forgeries(), ["a reply to request 2, which is not open"]);
  closed(link);
});

Deno.test("messages that nobody asked for change nothing and are written down", () => {
  const { link, forgeries } = openLine();
  for (
    const message of [null, 5, "reply", [], { id: 1 }, { id: "1" }, { id: NaN }, { note: "grant" }]
  ) link.receive(message, []);
  link.receive({ original: 1, call: 1, tensors: null }, []);
  assert.equal(forgeries().length, 9);
  closed(link);
});

Deno.test("a reply with hostile tensors fails its call and is written down", async () => {
  const { link, forgeries } = openLine();
  const call = link.request(asked);
  link.receive({ id: 1, ok: true, tensors: y }, [new SharedArrayBuffer(4)]);
  const error = await expectCode("HOOK_RESULT", () => call);
  assert.match(error.message, /plugin "steady" returned from postForward of "a"/);
  assert.deepEqual(forgeries(), ['reply 1: "y" has no bytes of its own']);
  closed(link);
});

Deno.test("an error that the plugin tells keeps name and message, whatever it tells", async () => {
  const { link } = openLine();
  const throws = async (told: unknown): Promise<Error> => {
    const call = link.request(asked);
    link.receive({ id: ++last, error: told }, []);
    return await call.then(() => assert.fail("nothing was thrown"), (error) => error);
  };
  let last = 0;
  assert.equal(String(await throws({ name: "TypeError", message: "no" })), "TypeError: no");
  assert.equal((await throws({ message: "x".repeat(10_000) })).message.length, 4096);
  for (const told of [null, 3, { name: { toString: 5 } }]) {
    assert.ok(await throws(told) instanceof Error);
  }
  closed(link);
});

Deno.test("original() runs in the caller's name, with checked inputs, while the clock stands", async () => {
  const { link, sent, forgeries } = openLine();
  const seen: (TensorMap | undefined)[] = [];
  const original = (inputs: TensorMap | undefined): Promise<TensorMap> => {
    seen.push(inputs);
    return Promise.resolve(map("y", 3));
  };
  const call = link.request({ ...asked, original, inputNames: ["x"] });
  link.receive({ original: 1, call: 1, tensors: y }, [new ArrayBuffer(4)]); // "y" is no input
  assert.deepEqual(sent[1], {
    op: "answer",
    id: 1,
    error: { name: "WireFault", message: '"y" is none of x' },
  });
  link.receive({ original: 2, call: 1, tensors: null }, []);
  await new Promise((resolve) => setTimeout(resolve, 0));
  assert.deepEqual(seen, [undefined]);
  assert.deepEqual(sent[2], {
    op: "answer",
    id: 2,
    tensors: [{ name: "y", dtype: "float32", shape: [1], kind: "Float32Array", buffer: 0 }],
  });
  assert.equal(forgeries().length, 1);
  link.receive({ id: 1, ok: true, tensors: y }, [Float32Array.of(3).buffer]);
  assert.deepEqual((await call).tensors?.["y"]?.data, Float32Array.of(3));
  closed(link);
});

Deno.test("a reply that comes after its call was aborted is no forgery, once", async () => {
  const { link, forgeries } = openLine();
  const abort = new AbortController();
  const call = link.request({ ...asked, signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(call, { message: "enough" });
  link.receive({ id: 1, ok: true, tensors: null }, []);
  assert.deepEqual(forgeries(), []);
  link.receive({ id: 1, ok: true, tensors: null }, []);
  assert.equal(forgeries().length, 1);
  await assert.rejects(link.request({ ...asked, signal: abort.signal }), { message: "enough" });
  closed(link);
});

Deno.test("a call that another one waits for has its own time; the late one ends the line", async () => {
  const { link, audited, ends } = openLine();
  const calls = [link.request({ ...asked, limitMs: 40 }), link.request({ ...asked, limitMs: 40 })];
  await expectCode("HOOK_BUDGET", () => calls[0]);
  await expectCode("HOOK_BUDGET", () => calls[1]);
  await expectCode("HOOK_BUDGET", () => link.request(asked));
  assert.equal(ends(), 1);
  assert.deepEqual(audited.map(({ permission, value }) => `${permission} ${value}`), [
    "budget msPerCall 40",
  ]);
  link.receive({ id: 1, ok: true }, []);
  assert.equal(audited.length, 1);
});

Deno.test("a line that ends fails every call that waits, and every later one, the same way", async () => {
  const { link, ends } = openLine();
  const call = link.request(asked);
  closed(link);
  closed(link);
  const error = await expectCode("PLUGIN_ISOLATION", () => call);
  assert.equal(await expectCode("PLUGIN_ISOLATION", () => link.request(asked)), error);
  assert.equal(link.ended, error);
  assert.equal(ends(), 1);
});

Deno.test("a call that returns while original() runs fails, and what original() gives later goes nowhere", async () => {
  const { link, forgeries } = openLine();
  const { promise, resolve } = Promise.withResolvers<TensorMap>();
  const call = link.request({ ...asked, original: () => promise, inputNames: [] });
  link.receive({ original: 1, call: 1, tensors: null }, []);
  link.receive({ id: 1, ok: true, tensors: null }, []);
  await expectCode("HOOK_RESULT", () => call);
  assert.deepEqual(forgeries(), ["reply 1: it returned while original() was running"]);
  resolve(map("y", 3));
  await promise;
  closed(link);
});
