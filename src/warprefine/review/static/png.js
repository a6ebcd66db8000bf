// Gray PNG files, byte for byte. A canvas may change values on the way: it manages colours, it writes
// only RGBA, and browsers that guard against fingerprinting add noise to what is read from it.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const through = async (bytes, stream) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());

function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set([...type].map((letter) => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** Return the bytes of an 8-bit gray PNG. */
export async function encodeGray({ values, width, height }) {
  const rows = new Uint8Array(height * (width + 1)); // each row begins with its filter, 0: none
  for (let y = 0; y < height; y += 1) {
    rows.set(values.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header[8] = 8; // bits per value; the colour type after it stays 0, gray
  const data = await through(rows, new CompressionStream("deflate"));
  return new Blob([new Uint8Array(SIGNATURE), chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", [])]);
}

function* chunksOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    yield { type, data: bytes.subarray(at + 8, at + 8 + view.getUint32(at)) };
  }
}

function paeth(left, up, corner) {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

// The filters of PNG (ISO 15948, 9.2): the guess that was subtracted, from the pixels left, up and up left.
const GUESSES = [() => 0, (left) => left, (_, up) => up, (left, up) => (left + up) >> 1, paeth];

function unfilter(rows, { width, height }) {
  const values = new Uint8Array(width * height);
  let above = new Uint8Array(width);
  for (let y = 0; y < height; y += 1) {
    const filter = rows[y * (width + 1)];
    const guess = GUESSES[filter];
    const row = values.subarray(y * width, (y + 1) * width);
    row.set(rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)));
    for (let x = 0, left = 0, corner = 0; filter !== 0 && x < width; x += 1) {
      row[x] += guess(left, above[x], corner); // modulo 256, as the array is of bytes
      left = row[x];
      corner = above[x];
    }
    above = row;
  }
  return values;
}

/** Return values, width and height of an 8-bit gray PNG; refuse every other kind. */
export async function decodeGray(bytes) {
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("the server sent something that is no PNG");
  const chunks = [...chunksOf(bytes)];
  const header = chunks.find(({ type }) => type === "IHDR").data;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [bits, color, , , interlaced] = header.subarray(8);
  if (bits !== 8 || color !== 0 || interlaced) throw new Error("the server sent a PNG that is not 8-bit gray");
  const parts = chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data);
  const rows = await through(new Blob(parts), new DecompressionStream("deflate"));
  if (rows.length !== height * (width + 1)) throw new Error("the server sent a PNG that is not whole");
  return { values: unfilter(rows, { width, height }), width, height };
}
