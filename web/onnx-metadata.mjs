/* The metadata of an ONNX file, without an ONNX library: field 14 of its outermost protobuf message. */

const METADATA_PROPS = 14;

/** Key -> value. */
export function metadataOf(bytes) {
  const found = new Map();
  for (const [number, value] of fields(bytes)) {
    if (number !== METADATA_PROPS) continue;
    const entry = new Map(fields(value)); // 1: key, 2: value
    found.set(text(entry.get(1)), text(entry.get(2)));
  }
  return found;
}

/** Number and value of each field of a message; a value is bytes, or a number. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let place = 1; ; place *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * place;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    const number = Math.floor(tag / 8);
    if (wire === 0) yield [number, varint()];
    else if (wire === 2) {
      const length = varint();
      yield [number, bytes.subarray(at, (at += length))];
    } else at += { 1: 8, 5: 4 }[wire];
  }
}

function text(bytes) {
  return new TextDecoder().decode(bytes ?? new Uint8Array());
}
