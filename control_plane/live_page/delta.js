// Undoes the delta of a tracking_update: message.payload where message.delta_since is the
// global_frame_index of `before`, the payload that was received last. Neither is changed.
export function applyDelta(before, delta) {
  const { cameras: changes, gone = [], ...changed } = delta;
  const cameras = { ...before.cameras };
  for (const id of gone) delete cameras[id];
  for (const [id, change] of Object.entries(changes)) {
    cameras[id] = cameras[id] ? applyCamera(cameras[id], change) : change;
  }
  return { ...before, ...changed, cameras };
}

function applyCamera(before, { tracks, gone, ...changed }) {
  const known = new Map(before.tracks.map((track) => [track.track_id, track]));
  return {
    ...before,
    ...changed,
    tracks: tracks.map((track) => ({ ...known.get(track.track_id), ...track })),
  };
}
