/* Frame -> network input, to the byte as src/bcpnet/frames/preprocess.py (Pillow's `Image.resize`, bilinear,
   antialiased when shrinking). A canvas resizes in another way, and the class map would differ. */

const POINT = 22; // bits behind the point of the weights
const HALF = 1 << (POINT - 1);

/** The size a frame is resized to: its short side `shortSide` pixels, its aspect kept, sides multiples of 8. */
export function networkSize(width: number, height: number, shortSide: number): { width: number; height: number } {
  const scale = shortSide / Math.min(width, height);
  const rounded = (side: number) => Math.max(32, roundHalfEven(Math.min(side * scale, 8 * shortSide) / 8) * 8);
  return { width: rounded(width), height: rounded(height) };
}

/** Python's `round`: halves to the even neighbour. */
function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  if (value - below !== 0.5) return Math.round(value);
  return below % 2 === 0 ? below : below + 1;
}

/** How one axis is resized: of each output pixel, `count` input pixels from `first` on, and their weights. */
interface Taps {
  most: number; // weights from one output pixel to the next; 0: the axis keeps its size
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array;
}

const known = new Map<string, Taps>();

function tapsOf(nIn: number, nOut: number): Taps {
  const key = `${nIn} ${nOut}`;
  const found = known.get(key);
  if (found) return found;
  if (known.size >= 16) known.clear();
  const made = makeTaps(nIn, nOut);
  known.set(key, made);
  return made;
}

/** A triangle around each output pixel's centre, down to 0 at its neighbours' (growing: one input pixel away). */
function makeTaps(nIn: number, nOut: number): Taps {
  const first = new Int32Array(nOut);
  const count = new Int32Array(nOut);
  if (nIn === nOut) return { most: 0, first, count, weights: new Int32Array(0) };
  const scale = nIn / nOut;
  const reach = Math.max(scale, 1);
  const most = 2 * Math.ceil(reach) + 1;
  const weights = new Int32Array(nOut * most);
  for (let out = 0; out < nOut; out++) {
    const centre = (out + 0.5) * scale;
    const start = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), nIn);
    const weightOf = (pixel: number) => Math.max(1 - Math.abs((pixel - centre + 0.5) * (1 / reach)), 0);
    let sum = 0;
    for (let pixel = start; pixel < end; pixel++) sum += weightOf(pixel);
    for (let pixel = start; pixel < end; pixel++)
      weights[out * most + pixel - start] = (weightOf(pixel) / sum) * 2 ** POINT + 0.5;
    first[out] = start;
    count[out] = end - start;
  }
  return { most, first, count, weights };
}

interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  channels: 3 | 4; // of 4, the last one (alpha) is left out
}

/** RGBA pixels as RGB bytes of another size. */
export function preprocess(
  rgba: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
  outWidth: number,
  outHeight: number,
): Uint8Array {
  // The order changes roundings. Pillow since 13 first goes along the columns if that drops the most.
  const downFirst = outHeight < height && height - outHeight > 2 * (width - outWidth);
  let pixels: Pixels = { data: rgba, width, height, channels: 4 };
  if (downFirst) pixels = resizeRows(pixels, outHeight);
  pixels = resizeColumns(pixels, outWidth);
  pixels = resizeRows(pixels, outHeight);
  return pixels.channels === 4 ? withoutAlpha(pixels) : (pixels.data as Uint8Array);
}

function withoutAlpha({ data, width, height }: Pixels): Uint8Array {
  const out = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < out.length; from += 4, to += 3) {
    out[to] = data[from];
    out[to + 1] = data[from + 1];
    out[to + 2] = data[from + 2];
  }
  return out;
}

/** Along each row: another width. */
function resizeColumns(pixels: Pixels, outWidth: number): Pixels {
  const { data, width, height, channels } = pixels;
  const { most, first, count, weights } = tapsOf(width, outWidth);
  if (most === 0) return pixels;
  const out = new Uint8Array(outWidth * height * 3);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const row = y * width * channels;
    for (let x = 0; x < outWidth; x++, to += 3) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let from = row + first[x] * channels;
      for (let at = x * most, end = at + count[x]; at < end; at++, from += channels) {
        const weight = weights[at];
        red += data[from] * weight;
        green += data[from + 1] * weight;
        blue += data[from + 2] * weight;
      }
      out[to] = toByte(red);
      out[to + 1] = toByte(green);
      out[to + 2] = toByte(blue);
    }
  }
  return { data: out, width: outWidth, height, channels: 3 };
}

/** Along each column: another height. */
function resizeRows(pixels: Pixels, outHeight: number): Pixels {
  const { data, width, height, channels } = pixels;
  const { most, first, count, weights } = tapsOf(height, outHeight);
  if (most === 0) return pixels;
  const pitch = width * channels;
  const out = new Uint8Array(pitch * outHeight);
  for (let y = 0; y < outHeight; y++) {
    const start = y * most;
    const end = start + count[y];
    for (let to = y * pitch, from = first[y] * pitch; to < (y + 1) * pitch; to++, from++) {
      let sum = HALF;
      for (let at = start, here = from; at < end; at++, here += pitch) sum += data[here] * weights[at];
      out[to] = toByte(sum);
    }
  }
  return { data: out, width, height: outHeight, channels };
}

function toByte(sum: number): number {
  const value = sum >> POINT;
  return value > 255 ? 255 : value; // rounded weights may add up to more than 1
}
