// Pixels of a PNG as chromium writes it: 8 bits a channel, RGB or RGBA, not interlaced.

import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";

/** A decoded picture. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue of a pixel. */
  at(x: number, y: number): readonly [number, number, number];
}

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/** Decodes a picture. */
export function pngPixels(bytes: Uint8Array): Pixels {
  assert.deepEqual([...bytes.subarray(0, 8)], SIGNATURE);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  let [width, height, channels] = [0, 0, 0];
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (name === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      const [depth, color, , , interlace] = bytes.subarray(at + 16, at + 21);
      assert.deepEqual([depth, interlace], [8, 0]);
      assert.ok(color === 2 || color === 6, `color type ${color}`);
      channels = color === 2 ? 3 : 4;
    } else if (name === "IDAT") parts.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  const stride = width * channels;
  const data = unfiltered(inflateSync(joined(parts)), stride, height, channels);
  return {
    width,
    height,
    at(x, y) {
      assert.ok(x >= 0 && x < width && y >= 0 && y < height, `no pixel ${x}, ${y}`);
      const from = Math.floor(y) * stride + Math.floor(x) * channels;
      return [data[from] ?? 0, data[from + 1] ?? 0, data[from + 2] ?? 0];
    },
  };
}

/** How many pixels of a picture have each colour, the commonest first. */
export function pixelColors(pixels: Pixels, step = 2): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (let y = 0; y < pixels.height; y += step) {
    for (let x = 0; x < pixels.width; x += step) {
      const key = pixels.at(x, y).join(",");
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  return [...counts].sort(([, one], [, other]) => other - one);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function unfiltered(raw: Uint8Array, stride: number, height: number, channels: number): Uint8Array {
  const data = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    for (let x = 0; x < stride; x++) {
      const at = y * stride + x;
      const left = x < channels ? 0 : data[at - channels] ?? 0;
      const up = y === 0 ? 0 : data[at - stride] ?? 0;
      const corner = x < channels || y === 0 ? 0 : data[at - stride - channels] ?? 0;
      const guess = filter === 0
        ? 0
        : filter === 1
        ? left
        : filter === 2
        ? up
        : filter === 3
        ? (left + up) >> 1
        : paeth(left, up, corner);
      data[at] = (raw[y * (stride + 1) + 1 + x] ?? 0) + guess;
    }
  }
  return data;
}

function paeth(left: number, up: number, corner: number): number {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value)) as [
    number,
    number,
    number,
  ];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}
