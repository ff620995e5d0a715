// A worker of native_in_worker_test.ts: says whether it is one.

import { parentPort } from "node:worker_threads";
import { isInWorker } from "../../../sessions/native/_worker_calls.ts";

const port = (parentPort ?? globalThis) as unknown as { postMessage(message: unknown): void };
port.postMessage(isInWorker());
