// Decodes one binary message of /ws/frames/{task}: a synchronised set of pictures.
//
//   offset  size  field (little endian)
//   0       4     magic "SPOT"
//   4       1     version, 1
//   5       1     flags: bit 0 set when a camera of the task is missing in this set
//   6       2     camera count n
//   8       8     frame index
//   16      8     media time, ns since 1970 UTC
//   24      24·n  per camera: 16 bytes id (UTF-8, zero padded), u32 JPEG length, u16 quality, u16 0
//   24+24n  4     metadata length m
//   28+24n  m     metadata: the payload of tracking_update as JSON
//   …             the n JPEGs in the order of the camera table
export function decodeSet(buffer) {
  const view = new DataView(buffer);
  const text = (start, length) =>
    new TextDecoder().decode(new Uint8Array(buffer, start, length)).replace(/\0+$/, "");
  if (text(0, 4) !== "SPOT" || view.getUint8(4) !== 1) throw new Error("not a set of version 1");
  const count = view.getUint16(6, true);
  const metadataAt = 28 + 24 * count;
  const metadataLength = view.getUint32(metadataAt - 4, true);
  let jpegAt = metadataAt + metadataLength;
  const cameras = Array.from({ length: count }, (_, i) => {
    const entry = 24 + 24 * i;
    const length = view.getUint32(entry + 16, true);
    const jpeg = new Blob([new Uint8Array(buffer, jpegAt, length)], { type: "image/jpeg" });
    jpegAt += length;
    return { id: text(entry, 16), quality: view.getUint16(entry + 20, true), jpeg };
  });
  return {
    frameIndex: Number(view.getBigUint64(8, true)),
    mediaTimeMs: Number(view.getBigInt64(16, true) / 1000000n),
    isIncomplete: (view.getUint8(5) & 1) === 1,
    metadata: JSON.parse(text(metadataAt, metadataLength)),
    cameras,
  };
}
