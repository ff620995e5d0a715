// Messages as bytes of a pipe: a head of JSON that says how long each buffer behind it is. Frames of a
// guest begin with a secret that was given to its bootstrap before the plugin was loaded, so that what the
// plugin writes to standard output itself is skipped and counted, and never read as a message.

/** A frame that was read. */
export interface Frame {
  /** The message. */
  readonly message: unknown;
  /** Its buffers. */
  readonly buffers: readonly ArrayBuffer[];
}

/** Reads the frames of one guest from pieces of any size. */
export interface FrameReader {
  /** Takes the next piece; what it completes goes to `onFrame`. */
  take(piece: Uint8Array): void;
}

/** Length of the secret before each frame of a guest, in bytes. */
export const SECRET_BYTES = 16;

const HEAD_LIMIT = 64 * 2 ** 20;
const BODY_LIMIT = 2 ** 30;

/** The bytes of a frame, without a secret: the head, and the buffers as they are. */
export function encodeFrame(
  message: unknown,
  buffers: readonly Uint8Array[],
): readonly Uint8Array[] {
  const sizes = buffers.map((one) => one.byteLength);
  const head = new TextEncoder().encode(JSON.stringify({ message, sizes }));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, head.byteLength, true);
  return [length, head, ...buffers.filter((one) => one.byteLength > 0)];
}

/**
 * Reads frames that begin with `secret`. `onNoise` gets the number of bytes that belonged to no frame.
 */
export function readFrames(secret: Uint8Array, { onFrame, onNoise }: {
  readonly onFrame: (frame: Frame) => void;
  readonly onNoise: (byteLength: number) => void;
}): FrameReader {
  /** What is read next, and how much of it there is. */
  let wanted = new Uint8Array(SECRET_BYTES + 4);
  let filled = 0;
  let head: { message: unknown; sizes: readonly number[] } | null = null;
  let stage: "start" | "head" | "body" = "start";
  let buffers: ArrayBuffer[] = [];
  const begin = (next: typeof stage, byteLength: number): void => {
    stage = next;
    wanted = new Uint8Array(byteLength);
    filled = 0;
  };
  const restart = (): void => {
    head = null;
    buffers = [];
    begin("start", SECRET_BYTES + 4);
  };
  let skipped = 0;
  const noise = (byteLength: number): void => {
    skipped += byteLength;
  };
  /** Drops what cannot be the beginning of a frame; true when a whole beginning is there. */
  const align = (): boolean => {
    let from = 0;
    while (!secret.every((byte, at) => from + at >= filled || wanted[from + at] === byte)) from++;
    if (from === 0) return filled === wanted.byteLength;
    noise(from);
    wanted.copyWithin(0, from, filled);
    filled -= from;
    return false;
  };
  const nextBuffer = (): void => {
    while (head !== null && buffers.length < head.sizes.length) {
      const size = head.sizes[buffers.length] as number;
      if (size > 0) return begin("body", size);
      buffers.push(new ArrayBuffer(0));
    }
    const frame = { message: head?.message, buffers };
    restart();
    onFrame(frame);
  };
  const complete = (): void => {
    if (stage === "start") {
      if (!align()) return;
      const byteLength = new DataView(wanted.buffer).getUint32(SECRET_BYTES, true);
      if (byteLength > HEAD_LIMIT) {
        noise(wanted.byteLength);
        return restart();
      }
      return begin("head", byteLength);
    }
    if (stage === "head") {
      head = decodeHead(wanted);
      if (head !== null) return nextBuffer();
      noise(wanted.byteLength);
      return restart();
    }
    buffers.push(wanted.buffer);
    nextBuffer();
  };
  return {
    take(piece) {
      for (let done = 0; done < piece.byteLength;) {
        const count = Math.min(piece.byteLength - done, wanted.byteLength - filled);
        wanted.set(piece.subarray(done, done + count), filled);
        filled += count;
        done += count;
        if (filled === wanted.byteLength) complete();
      }
      if (skipped > 0) onNoise(skipped);
      skipped = 0;
    },
  };
}

function decodeHead(bytes: Uint8Array): { message: unknown; sizes: readonly number[] } | null {
  let head: { readonly message?: unknown; readonly sizes?: unknown } | null;
  try {
    head = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return null;
  }
  const sizes = head?.sizes;
  if (!Array.isArray(sizes)) return null;
  let total = 0;
  for (const size of sizes as readonly unknown[]) {
    if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) return null;
    total += size;
  }
  return total > BODY_LIMIT ? null : { message: head?.message, sizes };
}
