// Run by engine_choice_test.ts as a worker: sends what was chosen.

import { chooseEngine } from "../../sessions/engine_choice.ts";

const worker = globalThis as unknown as { postMessage(message: unknown): void };
const { engine, because } = await chooseEngine("auto");
worker.postMessage({ engine: engine.name, because });
