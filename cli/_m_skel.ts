import { readSkeleton } from "../graph/skeleton.ts";
const a = performance.now();
const s = readSkeleton(Deno.args[0]!);
console.log(s.fileByteLength, performance.now()-a);
