/* Exact bilinear upsampling + argmax that never builds full-size logits: src/bcpnet/frames/upsample.py says why it is
   exact. Where the four corners of a cell have the same best class, so has all of it; elsewhere only the classes that
   can still win are interpolated. */

/** K x h x w logits. */
export interface Logits {
  data: Float32Array;
  classes: number;
  height: number;
  width: number;
}

/** What lies between two neighbouring logits of one axis. */
interface Cells {
  low: Int32Array; // the logits on either side, the same beyond the outermost centres
  high: Int32Array;
  start: Int32Array; // the first output pixel of each cell, and where the last one ends
  share: Float32Array; // of the cell's `high`, at each output pixel
}

/** Half-pixel centres (align_corners=False): output pixel p lies at (p + 1/2) nIn / nOut - 1/2. */
function findCells(nIn: number, nOut: number): Cells {
  const low: number[] = [];
  const high: number[] = [];
  const start: number[] = [];
  const share = new Float32Array(nOut);
  let last = -2;
  for (let pixel = 0; pixel < nOut; pixel++) {
    const position = (pixel + 0.5) * (nIn / nOut) - 0.5;
    const floor = Math.floor(position);
    share[pixel] = position - floor;
    if (floor !== last) {
      low.push(Math.max(floor, 0));
      high.push(Math.min(floor + 1, nIn - 1));
      start.push(pixel);
    }
    last = floor;
  }
  start.push(nOut);
  return { low: Int32Array.from(low), high: Int32Array.from(high), start: Int32Array.from(start), share };
}

/** The best class at each logit, the first of equals. */
function argmax({ data, classes, height, width }: Logits): Uint8Array {
  const size = height * width;
  const best = data.slice(0, size);
  const labels = new Uint8Array(size);
  for (let k = 1, at = size; k < classes; k++)
    for (let i = 0; i < size; i++, at++)
      if (data[at] > best[i]) {
        best[i] = data[at];
        labels[i] = k;
      }
  return labels;
}

/** The class of every pixel of a picture of outHeight x outWidth. */
export function upsampleArgmax(logits: Logits, outHeight: number, outWidth: number): Uint8Array {
  const { height, width } = logits;
  const labels = argmax(logits);
  if (height === outHeight && width === outWidth) return labels;
  const rows = findCells(height, outHeight);
  const columns = findCells(width, outWidth);
  const classMap = new Uint8Array(outHeight * outWidth);
  const open = new Int32Array(columns.low.length);
  const interpolate = interpolator(logits, labels, rows, columns, classMap, outWidth);
  for (let r = 0; r < rows.low.length; r++) {
    const top = rows.low[r] * width;
    const bottom = rows.high[r] * width;
    const line = rows.start[r] * outWidth;
    let opened = 0;
    for (let c = 0; c < columns.low.length; c++) {
      const left = columns.low[c];
      const right = columns.high[c];
      const label = labels[top + left];
      if (label === labels[top + right] && label === labels[bottom + left] && label === labels[bottom + right])
        for (let x = line + columns.start[c], end = line + columns.start[c + 1]; x < end; x++) classMap[x] = label;
      else open[opened++] = c;
    }
    for (let y = rows.start[r] + 1; y < rows.start[r + 1]; y++)
      classMap.copyWithin(y * outWidth, line, line + outWidth);
    for (let i = 0; i < opened; i++) interpolate(r, open[i]);
  }
  return classMap;
}

/** A function that writes the pixels of the cell in row r and column c. */
function interpolator(
  { data, classes, height, width }: Logits,
  labels: Uint8Array,
  rows: Cells,
  columns: Cells,
  classMap: Uint8Array,
  outWidth: number,
): (r: number, c: number) => void {
  const size = height * width;
  const corner = new Int32Array(4); // top left, top right, bottom left, bottom right
  // How far each candidate is above the first one: at + x weightX + (y + xy weightX) weightY.
  const leads = new Float64Array(classes * 4);
  const candidates = new Uint8Array(classes);

  /** Winners at a corner, and each class that is above every one of these at one corner or another. */
  function findCandidates(): number {
    let count = 0;
    for (let k = 0; k < classes; k++) {
      let may = false;
      for (let w = 0; w < 4 && !may; w++) may = labels[corner[w]] === k;
      if (!may) {
        may = true;
        for (let w = 0; w < 4 && may; w++) {
          const winner = labels[corner[w]] * size;
          may = false;
          for (let i = 0; i < 4 && !may; i++) may = data[k * size + corner[i]] > data[winner + corner[i]];
        }
      }
      if (may) candidates[count++] = k;
    }
    return count;
  }

  return (r, c) => {
    const top = rows.low[r] * width;
    const bottom = rows.high[r] * width;
    corner[0] = top + columns.low[c];
    corner[1] = top + columns.high[c];
    corner[2] = bottom + columns.low[c];
    corner[3] = bottom + columns.high[c];
    const count = findCandidates();
    const first = candidates[0];
    for (let i = 1; i < count; i++) {
      const own = candidates[i] * size;
      const other = first * size;
      const topLeft = data[own + corner[0]] - data[other + corner[0]];
      const x = data[own + corner[1]] - data[other + corner[1]] - topLeft;
      const bottomLeft = data[own + corner[2]] - data[other + corner[2]];
      const bottomX = data[own + corner[3]] - data[other + corner[3]] - bottomLeft;
      leads[i * 4] = topLeft;
      leads[i * 4 + 1] = x;
      leads[i * 4 + 2] = bottomLeft - topLeft;
      leads[i * 4 + 3] = bottomX - x;
    }
    const endX = columns.start[c + 1];
    for (let y = rows.start[r]; y < rows.start[r + 1]; y++) {
      const weightY = rows.share[y];
      for (let x = columns.start[c], at = y * outWidth + x; x < endX; x++, at++) {
        const weightX = columns.share[x];
        let best = 0;
        let label = first;
        for (let i = 1, lead = 4; i < count; i++, lead += 4) {
          const above = leads[lead] + leads[lead + 1] * weightX;
          const value = above + (leads[lead + 2] + leads[lead + 3] * weightX) * weightY;
          if (value > best) {
            best = value;
            label = candidates[i];
          }
        }
        classMap[at] = label;
      }
    }
  };
}
