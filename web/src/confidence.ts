/* How sure the network is of every pixel: the probability of its class, exact at the logits and bilinear between them,
   in whole numbers as src/bcpnet/frames/confidence.py. */

import type { Logits } from "./upsample.ts";

const ONE = 255 << 8; // a probability of 1
const SHARE_BITS = 14; // of a pixel's distance from the logit before it
const SHARE_ONE = 1 << SHARE_BITS;
const SHARE_HALF = SHARE_ONE >> 1;

/** The probabilities of the classes at each logit, as whole numbers up to ONE. */
function softmaxTable({ data, classes, height, width }: Logits): Uint16Array {
  const size = height * width;
  const table = new Uint16Array(classes * size);
  const exponentials = new Float64Array(classes);
  for (let i = 0; i < size; i++) {
    let most = data[i];
    for (let k = 1; k < classes; k++) most = Math.max(most, data[k * size + i]);
    let sum = 0;
    for (let k = 0; k < classes; k++) sum += exponentials[k] = Math.exp(data[k * size + i] - most);
    for (let k = 0; k < classes; k++) table[k * size + i] = (exponentials[k] / sum) * ONE + 0.5;
  }
  return table;
}

/** Of each output pixel: the logit before it, the one after it, and its distance from the first. */
function neighbours(nIn: number, nOut: number): { before: Int32Array; after: Int32Array; share: Int32Array } {
  const before = new Int32Array(nOut);
  const after = new Int32Array(nOut);
  const share = new Int32Array(nOut);
  for (let pixel = 0; pixel < nOut; pixel++) {
    const position = Math.min(Math.max((pixel + 0.5) * (nIn / nOut) - 0.5, 0), nIn - 1);
    before[pixel] = Math.trunc(position);
    after[pixel] = Math.min(before[pixel] + 1, nIn - 1);
    share[pixel] = Math.round((position - before[pixel]) * SHARE_ONE);
  }
  return { before, after, share };
}

/** The probability of every pixel's class; 255 = certain. */
export function confidence(logits: Logits, classMap: Uint8Array, outHeight: number, outWidth: number): Uint8Array {
  const { classes, height, width } = logits;
  const table = softmaxTable(logits);
  const rows = neighbours(height, outHeight);
  const columns = neighbours(width, outWidth);
  const line = new Int32Array(classes * width);
  const result = new Uint8Array(classMap.length);
  for (let y = 0; y < outHeight; y++) {
    const share = rows.share[y];
    const top = rows.before[y] * width;
    const bottom = rows.after[y] * width;
    for (let k = 0; k < classes; k++) {
      const plane = k * height * width;
      for (let x = 0; x < width; x++)
        line[k * width + x] =
          (table[plane + top + x] * (SHARE_ONE - share) + table[plane + bottom + x] * share + SHARE_HALF) >> SHARE_BITS;
    }
    for (let x = 0, at = y * outWidth; x < outWidth; x++, at++) {
      const own = classMap[at] * width;
      const along = columns.share[x];
      const value = line[own + columns.before[x]] * (SHARE_ONE - along) + line[own + columns.after[x]] * along;
      result[at] = (value + (SHARE_HALF << 8)) >> (SHARE_BITS + 8);
    }
  }
  return result;
}
