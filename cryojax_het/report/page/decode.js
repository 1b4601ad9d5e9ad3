// Packed bytes of the page: base64, then gzip.

function base64Bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function blobBytes(name) {
  const zipped = base64Bytes(document.getElementById(name).textContent.trim());
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function columnValues(column) {
  // Float32, NaN where there is no value.
  const bytes = await blobBytes(column.blob), count = bytes.length >> 1;
  const view = new DataView(bytes.buffer), values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const code = view.getUint16(2 * i, true);
    values[i] = code === 65535 ? NaN : column.offset + column.scale * code;
  }
  return values;
}
