// Run by native_in_worker_test.ts: ends workers while they compute natively, one after the other, then the
// process with the last of them. The worker starts no worker.

import { Worker as NodeWorker } from "node:worker_threads";

const ENDED = 20;
const url = new URL("./native_worker.ts", import.meta.url);

/** What ends a worker, once it has opened its model. */
function start(isOfNode: boolean): Promise<() => unknown> {
  return new Promise((resolve, reject) => {
    if (isOfNode) {
      const worker = new NodeWorker(url);
      worker.once("message", () => resolve(() => worker.terminate()));
      worker.once("error", reject);
      return;
    }
    const worker = new Worker(url, { type: "module" });
    worker.onmessage = () => resolve(() => worker.terminate());
    worker.onerror = ({ message }) => reject(new Error(message));
  });
}

for (let index = 0; index < ENDED; index++) {
  const end = await start(index % 4 === 3);
  await new Promise((resolve) => setTimeout(resolve, index * 17 % 50));
  await end();
}
await start(false);
console.log(`${ENDED} ended`);
Deno.exit(0);
